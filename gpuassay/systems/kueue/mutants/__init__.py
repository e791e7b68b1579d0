"""Kueue, broken by name."""
