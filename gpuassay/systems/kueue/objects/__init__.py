"""Builders of Kueue's objects and of job mixes; pure."""
