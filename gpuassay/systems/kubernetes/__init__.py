"""Kubernetes itself as a system under test: what its own scheduler promises of groups of pods."""
