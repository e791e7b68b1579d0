"""Kueue: job queueing."""
