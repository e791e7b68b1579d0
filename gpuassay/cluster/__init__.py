"""A Kubernetes API to test: an embedded control plane, or somebody's cluster."""
