"""Routing, broken by name."""
