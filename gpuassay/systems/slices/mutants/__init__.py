"""Slicing, broken by name."""
