"""Scenarios act on a cluster: declaration, lab, engine, stage, mutants."""
