"""What the platform's own witnesses must live up to before anything they say counts."""
