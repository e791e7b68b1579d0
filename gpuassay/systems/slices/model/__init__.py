"""What placement of slices should do; pure."""
