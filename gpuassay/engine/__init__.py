"""Runs scenarios ahead of the tests: cluster pools, builds, environments, recordings."""
