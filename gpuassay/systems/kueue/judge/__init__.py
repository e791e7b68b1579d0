"""Recording x model of Kueue -> findings; pure."""
