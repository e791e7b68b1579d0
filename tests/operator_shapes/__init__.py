"""Clusters with a GPU Operator, sound and ill, and what judges must say of each."""
