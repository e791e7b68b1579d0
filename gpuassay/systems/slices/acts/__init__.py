"""What scenarios do with sliced nodes."""
