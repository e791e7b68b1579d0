"""What should happen: oracles and predictions, computed from first principles and free of any cluster."""
