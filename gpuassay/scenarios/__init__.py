"""Scenarios act on a cluster: declaration, lab, engine, environment, mutants."""
