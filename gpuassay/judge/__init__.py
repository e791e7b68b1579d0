"""Recording x model -> findings; pure."""
