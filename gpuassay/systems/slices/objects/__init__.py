"""Builders of resource claims and slices; pure."""
