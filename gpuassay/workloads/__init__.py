"""What is asked of the system: objects and job mixes, seeded and pure."""
