"""What scenarios do with a GPU Operator."""
