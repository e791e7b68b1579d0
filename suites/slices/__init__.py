"""Slices of GPUs: created, used by one pod alone, freed, never lost; on a real node."""
