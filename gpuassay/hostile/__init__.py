"""Hostile objects: values at and beyond the borders of every field of a schema, sent, and what came of each."""
