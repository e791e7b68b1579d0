"""Kueue in front of GPU slices."""
