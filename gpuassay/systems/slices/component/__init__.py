"""Slicers of GPUs on a real node, and the fake driver beneath them."""
