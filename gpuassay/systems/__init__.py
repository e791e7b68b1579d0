"""What is tested, a folder per system; none knows another, and the core knows none of them by name."""
