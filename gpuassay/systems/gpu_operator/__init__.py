"""NVIDIA's GPU Operator, as somebody has installed it."""
