"""Fixtures of measurements on slices."""

from __future__ import annotations

from fixtures.arms import arms

__all__ = ["arms"]
