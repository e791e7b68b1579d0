"""Kueue: queueing of GPU jobs."""
