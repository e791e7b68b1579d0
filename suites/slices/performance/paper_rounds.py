"""Plays the paper's Table 6 in rounds: its own 32 files on slices that are cut on demand, and on whole GPUs."""

from __future__ import annotations

from contextlib import ExitStack

from gpuassay import Lab
from gpuassay.stats.claims import Plan
from gpuassay.workloads.run_times import PAPERS_FILES
from suites.slices.performance import tables

WAYS = ("dynamic", "whole")
SCALE = 1 / 60
PLAN = Plan(looks=(3,), shares=(1.0,))
"""Placement and queueing have next to no spread: three rounds decide."""


def act(lab: Lab) -> None:
    """As many rounds as the plan has, both ways side by side."""
    from gpuassay.systems.slices.acts.bench import SliceBench, bench, take  # cluster clients: not for replays

    rounds = PLAN.looks[-1]
    with ExitStack() as stack:
        on: SliceBench | None = None
        for number in range(1, rounds + 1):
            if take(lab, [f"t6-{way}-{number}" for way in WAYS]):
                lab.progress(f"round {number}: recorded by an earlier run, not played again")
                continue
            if on is None:
                on = stack.enter_context(bench(lab))
            lab.progress(f"round {number} of {rounds}: 32 jobs on {' and '.join(WAYS)}, run times x {SCALE:.3g}")
            tables.pair(on, "t6", WAYS, PAPERS_FILES, SCALE, number)
        if on is not None:
            lab.cluster.tell(on.environment.cluster.components, on.environment.cluster.emulated)  # for reports
    lab.note(tables.SCALE, SCALE)
    lab.note(tables.ROUNDS, rounds)
