"""Recording x geometry of slices -> findings; pure."""
