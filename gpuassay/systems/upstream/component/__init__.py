"""Upstream's own conformance tests of the Gateway API Inference Extension, with what they need on a real node."""
