"""Acts out Tables 5 and 6: the paper's jobs on 8 GPUs of a real node, cut on demand, cut beforehand, and whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuassay import Lab, Note
from gpuassay.silicon import Geometry
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.node import SlicedNode, SlicerName
from gpuassay.systems.slices.model.paper import ALONE, CROWDED, GPU_MODEL, GPUS, Slowdown, slice_mix
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.model.predict import balanced, best_static, slicers
from gpuassay.systems.slices.model.slices import SliceJob
from suites.slices.performance import jobs

if TYPE_CHECKING:
    from gpuassay.systems.slices.acts.bench import SliceArm, SliceBench

SPACING = 0.1
"""Seconds between creations, at every scale: the paper's second, shortened, would outrun the job controller."""


TABLE = Note("table", str, "whose jobs they are: `t5` or `t6`")
WAY = Note("way", str, "how the GPUs are given out")
SEED = Note("seed", int, "of the mix of jobs")
SCALE = Note("scale", float, "by what the paper's run times are multiplied; none where it has none", default=None)
ROUND = Note("round", int, "which round it is, from 1")
FINISHED = Note("finished", int, "how many jobs are complete in the end")
ROUNDS = Note("rounds", int, "how many rounds were played")


@dataclass(frozen=True)
class Way:
    """A way to give GPUs to jobs.

    Attributes:
        title: its name in tables, and in the model's predictions.
        slicer: who gives them.
        options: of the slicer.
        cut: whether GPUs are cut beforehand, and how.
    """

    title: str
    slicer: SlicerName
    cut: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])


WAYS = {
    "dynamic": Way("dynamic slices", "dra"),
    "whole": Way("whole GPUs", "device-plugin", options={"strategy": "none"}),
    "best": Way("static slices, best", "device-plugin", cut="best"),
    "balanced": Way("static slices, balanced", "device-plugin", cut="balanced"),
}
"""By the name of their arms."""

TABLES: dict[str, tuple[int, Slowdown, tuple[tuple[str, str], ...]]] = {
    "t6": (16, CROWDED, (("dynamic", "whole"), ("best", "balanced"))),
    "t5": (4, ALONE, (("dynamic", "whole"),)),
}
"""Jobs of each kind, how much slices slow them down, and which arms play side by side."""

QUICK = (1 / 60, 1)
FULL = (1 / 15, 3)
"""Time scale of run times, and how many rounds (one list of run times each)."""

QUICK_SEED = 3
"""Its list of run times is short: 45 min on whole GPUs by the twin, against 70 of seed 1."""


def mix(table: str, way: str, seed: int, scale: float) -> list[SliceJob]:
    """The jobs of a table with their run times (s) on the arm's GPUs, times `scale`."""
    each, slowdown, _ = TABLES[table]
    made = slice_mix(seed, each, None if way == "whole" else slowdown)
    return [replace(one, arrival=SPACING * number, run=one.run * scale) for number, one in enumerate(made)]


@cache
def twin(way: str) -> Any:
    """The model's slicer of an arm, as a factory."""
    return slicers()[WAYS[way].title]


def geometry(way: Way) -> Geometry:
    """How the GPUs are cut from the beginning: not at all on demand and for whole GPUs."""
    places: Sequence[Place] = {"best": best_static, "balanced": balanced}.get(way.cut, tuple)()
    found: dict[int, list[str | tuple[str, int]]] = {}
    for one in places:
        found.setdefault(one.gpu, []).append((one.profile, one.start))
    return found


@contextmanager
def _open(arm: SliceArm, way: Way) -> Generator[SlicedNode]:
    with slicing.opened(arm.lab, way.slicer, gpus=(GPU_MODEL,) * GPUS, geometry=geometry(way), **way.options) as site:
        yield site


def _play(arm: SliceArm, table: str, name: str, seed: int, scale: float, number: int, ready: threading.Barrier) -> None:
    """One arm, from its node to its end."""
    way, made = WAYS[name], mix(table, name, seed, scale)
    patience = 4 * sum(one.run for one in made) / GPUS + 90
    with _open(arm, way) as site:
        jobs.note(site, made)
        arm.lab.note(TABLE, table)
        arm.lab.note(WAY, name)
        arm.lab.note(SEED, seed)
        arm.lab.note(SCALE, scale)
        arm.lab.note(ROUND, number)
        ready.wait(180)  # both arms begin together
        begin, pause = time.monotonic(), threading.Event()
        for one in made:
            pause.wait(max(0.0, begin + one.arrival - time.monotonic()))
            step = ("sleep", f"{one.run:.3f}s")
            arm.lab.create(jobs.manifest(site, one, step, whole=name == "whole"))
        arm.lab.observe(lambda: jobs.finished(site) == len(made), "all jobs are complete", timeout=patience)
        arm.lab.note(FINISHED, jobs.finished(site))
        if way.slicer == "device-plugin":  # its containers name their devices; claims tell of the others
            site.identify(*(one["metadata"]["name"] for one in jobs.pods(site).values()))
        jobs.clear(site)


def pair(on: SliceBench, table: str, names: Sequence[str], seed: int, scale: float, number: int) -> None:
    """Arms side by side, each on a node of its own; their recordings are written at the end."""
    ready = threading.Barrier(len(names))
    opened = [on.arm(f"{table}-{name}-{number}") for name in names]
    with ThreadPoolExecutor(len(names)) as pool:
        playing = [
            pool.submit(_play, arm, table, name, seed, scale, number, ready)
            for arm, name in zip(opened, names, strict=True)
        ]
        for one in playing:
            one.add_done_callback(lambda done: ready.abort() if done.exception() else None)
    for one in playing:
        one.result()
    on.close_all()


def act(lab: Lab) -> None:
    """Both tables, in as many rounds as the mode has."""
    from gpuassay.systems.slices.acts.bench import bench  # cluster clients: not for replays

    scale, rounds = FULL if lab.full else QUICK
    with bench(lab) as on:
        for number in range(1, rounds + 1):
            seed = number if lab.full else QUICK_SEED
            for table, (each, _, pairs) in TABLES.items():
                for names in pairs:
                    lab.progress(f"{2 * each} jobs on {' and '.join(names)}, run times x {scale:.3g}, round {number}")
                    pair(on, table, names, seed, scale, number)
        lab.cluster.tell(on.environment.cluster.components, on.environment.cluster.emulated)  # for reports
        lab.note(SCALE, scale)
        lab.note(ROUNDS, rounds)
