"""Proves what a GPU Kubernetes platform really does."""
