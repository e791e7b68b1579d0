"""A bench for slices: a cluster of its own for one measurement, on which each arm opens its real node.

With it comes what a measurement on it needs: `SliceArm`, and `take` for rounds of an earlier run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from gpuassay.engine import bench as engine
from gpuassay.engine.kept import take as take
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.slices.environment import RECORDED

SliceArm = engine.Arm[Lab]
SliceBench = engine.Bench[Lab]


def bench(lab: Lab) -> AbstractContextManager[SliceBench]:
    """Open a bench for the length of a `with` block; what slices need recorded is recorded."""
    return engine.bench(lab, resources=RECORDED)
