"""What scenarios do with Kueue."""
