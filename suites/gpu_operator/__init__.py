"""NVIDIA's GPU Operator on an existing cluster, judged from what its API tells; nothing is changed."""
