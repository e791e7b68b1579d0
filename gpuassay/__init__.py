"""Proves what a GPU Kubernetes platform really does.

A scenario acts on a cluster once; what happened is recorded; tests are judgements on the recording:

    from gpuassay import MUST, behaviour, scenario
    from gpuassay.systems.kueue import KueueLab, KueueRecording, decisions, workloads

    @scenario()
    def two_jobs(lab: KueueLab) -> None:
        queue = lab.queue(gpus=1)
        workloads.workload(lab, "first", queue)
        lab.until_admitted("first")
        workloads.workload(lab, "second", queue)

    @behaviour("mine.queue.one-at-a-time", level=MUST, spec="our handbook", red_when="two hold one GPU")
    def test_one_at_a_time(two_jobs: KueueRecording) -> None:
        \"\"\"One GPU is given to one job at a time.\"\"\"
        assert decisions(two_jobs) == ["first"]

The names below are the public interface, beside each system's own face (`gpuassay.systems.kueue`, ...). Everything
else may change with any version. docs/api.md shows each with an example.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuassay import gpus as gpus
    from gpuassay import labels as labels
    from gpuassay import load as load
    from gpuassay import manifest as manifest
    from gpuassay import silicon as silicon
    from gpuassay import stats as stats
    from gpuassay import system as system
    from gpuassay import workloads as workloads
    from gpuassay.behaviours import behaviour as behaviour
    from gpuassay.behaviours import known_defect as known_defect
    from gpuassay.behaviours import needs as needs
    from gpuassay.manifest import Manifest as Manifest
    from gpuassay.manifest import dig as dig
    from gpuassay.record.notes import Note as Note
    from gpuassay.record.parts import Part as Part
    from gpuassay.record.recording import Recording as Recording
    from gpuassay.scenarios.declare import scenario as scenario
    from gpuassay.scenarios.lab import Lab as Lab
    from gpuassay.scenarios.mutants import mutant as mutant
    from gpuassay.session.arms import Arms as Arms
    from gpuassay.session.benchmarks import StoreRuns as StoreRuns
    from gpuassay.session.benchmarks import run_clock as run_clock
    from gpuassay.session.measure import Measure as Measure
    from gpuassay.verdict import INFO as INFO
    from gpuassay.verdict import MAY as MAY
    from gpuassay.verdict import MUST as MUST
    from gpuassay.verdict import SHOULD as SHOULD
    from gpuassay.verdict import Inconclusive as Inconclusive
    from gpuassay.waiting import WaitTimeout as WaitTimeout
    from gpuassay.waiting import wait as wait

__version__ = "0.1.0"

_PLACES = {
    "behaviours": ("behaviour", "known_defect", "needs"),
    "manifest": ("Manifest", "dig"),
    "record.notes": ("Note",),
    "record.parts": ("Part",),
    "record.recording": ("Recording",),
    "scenarios.declare": ("scenario",),
    "scenarios.lab": ("Lab",),
    "scenarios.mutants": ("mutant",),
    "session.arms": ("Arms",),
    "session.benchmarks": ("StoreRuns", "run_clock"),
    "session.measure": ("Measure",),
    "verdict": ("INFO", "MAY", "MUST", "SHOULD", "Inconclusive"),
    "waiting": ("WaitTimeout", "wait"),
}
_PACKAGES = ("gpus", "labels", "load", "manifest", "silicon", "stats", "system", "workloads")
"""Public as a whole: GPU models, names of labels, the load generator, reading manifests, fake GPUs,
statistics, what a system under test
declares, builders of Kubernetes objects."""

_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [*_PLACE_OF, *_PACKAGES]  # pyright: ignore[reportUnsupportedDunderAll]


def place_of(name: str) -> str:
    """The module, below this package, in which a public name is defined."""
    return _PLACE_OF[name]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: load pods and builds take parts of this package and no more."""
    if name in _PACKAGES:
        return importlib.import_module(f"gpuassay.{name}")
    if name in _PLACE_OF:
        return getattr(importlib.import_module(f"gpuassay.{_PLACE_OF[name]}"), name)
    raise AttributeError(f"module 'gpuassay' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
