"""Kubernetes: what its own scheduler promises of groups of pods."""
