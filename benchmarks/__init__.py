"""Comparisons of ourselves with other tools; not part of the package."""
