"""Kueue in front of slices on somebody's cluster: any may have both, or get them for the run."""

from __future__ import annotations

from gpuassay.cluster.existing import Detected, Detection


def detect(site: Detection) -> Detected:
    """Scenarios may be asked of it; Kueue and a slicer are what they need besides."""
    del site
    return Detected(frozenset({"platform"}))
