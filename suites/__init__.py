"""What is proved, one package per system under test."""
