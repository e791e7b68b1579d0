"""Somebody's controller that gives ConfigMaps numbers, and what gpuassay must know to test it."""
