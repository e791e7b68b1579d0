"""The recording of what a lab does, begun and written: of a scenario, or of one arm of a measurement."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import pressure
from gpuassay.manifest import Manifest
from gpuassay.record.parts import AUDIT, Part
from gpuassay.record.recording import RecordingMeta, write_recording

if TYPE_CHECKING:
    from gpuassay.engine.environment import Environment
    from gpuassay.scenarios.lab import Lab

QUIET = 1.3
"""Seconds without an event after which a lab counts as at rest: longer than Kueue's 1 s status batch."""


@dataclass(frozen=True)
class Beginning:
    """Where things stood when a recording was begun.

    Attributes:
        at_ns: ns since the epoch.
        pressure: on the machine's CPUs.
        positions: of the audit log and of the system's logs (`Environment.positions`).
    """

    at_ns: int
    pressure: pressure.Reading
    positions: Mapping[Part, int]


def begin(environment: Environment) -> Beginning:
    """Begin now."""
    return Beginning(time.time_ns(), pressure.read(), environment.positions())


def write(
    environment: Environment,
    lab: Lab,
    place: Path,
    began: Beginning,
    *,
    profile: str,
    lines: Mapping[Part, Iterable[Manifest]],
    outcome: str = "ok",
    error: str = "",
) -> None:
    """Write to `place` what `lab` has done and seen since then; the name of the folder is the recording's.

    Args:
        environment: on which it acted.
        lab: whose recording it is.
        place: the folder.
        began: when.
        profile: Kueue's configuration.
        lines: of the audit log and of the system's logs (`Environment.lines`).
        outcome: "ok", "error" or "skip".
        error: one line when it is not "ok".
    """
    ended_ns = time.time_ns()
    built = environment.beside(place.name, began.at_ns, ended_ns)
    meta = RecordingMeta(
        scenario=place.name,
        profile=profile,
        token=lab.token,
        namespaces=lab.namespaces,
        started_ns=began.at_ns,
        ended_ns=ended_ns,
        outcome=outcome,
        error=error,
        notes=lab.notes,
        gaps=environment.view.gaps(lab.token),
        pressure={**_pressure(environment, began), **({"beside_builds": built} if built else {})},
    )
    write_recording(
        place,
        meta,
        asked=lab.asked,
        events=environment.view.lines(lab.token),
        audit=lines.get(AUDIT, ()),
        metrics=lab.samples,
        parts={part: rows for part, rows in {**lines, **lab.parts}.items() if part is not AUDIT},
    )


def _pressure(environment: Environment, began: Beginning) -> dict[str, float | None]:
    """How crowded this machine was. Whose a foreign process is cannot be told where the cluster is not ours.

    The cluster under test may run on this very machine then (kind, minikube): waiting for a CPU still tells.
    """
    shares = {**pressure.shares(began.pressure), "others_cpu_burst": pressure.burst(began.pressure)}
    return shares if environment.ours else {**shares, "others_cpu_share": None, "others_cpu_burst": None}
