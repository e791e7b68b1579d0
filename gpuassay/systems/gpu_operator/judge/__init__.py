"""Recording x rules of a GPU Operator -> findings; pure."""
