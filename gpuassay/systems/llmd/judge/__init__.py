"""Recording x model of routing -> findings; pure."""
