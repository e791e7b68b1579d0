"""Limits and calibrated figures of measurements: data with provenance, not numbers in code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from gpuassay.verdict import Inconclusive


class _Meta(Protocol):
    @property
    def pressure(self) -> Mapping[str, Any]: ...


class Measured(Protocol):
    """What was measured: a recording, as far as it matters here."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def meta(self) -> _Meta:
        """How contended the machine was."""
        ...


class BadThresholds(ValueError):  # noqa: N818 - reads as what it is
    """The thresholds file cannot be used; the message is one line."""

    exit_code = 2


@dataclass(frozen=True)
class Calibrated:
    """A figure as it was measured on one machine: n runs, their mean and standard deviation."""

    n: int
    mean: float
    sd: float
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Thresholds:
    """The content of a thresholds file.

    Attributes:
        limits: bounds that hold on every machine (shares, ratios, counts), by name.
        fingerprint: of the machine on which `figures` were measured, "" while nothing was calibrated.
        figures: calibrated figures by name.
    """

    limits: Mapping[str, float]
    fingerprint: str = ""
    figures: Mapping[str, Calibrated] = field(default_factory=dict[str, Calibrated])

    def limit(self, name: str) -> float:
        """A bound. Raises BadThresholds if the file has none of that name."""
        if name not in self.limits:
            raise BadThresholds(f"thresholds: no limit {name!r}; there are {', '.join(sorted(self.limits))}")
        return self.limits[name]

    def calibrated(self, name: str, fingerprint: str) -> Calibrated | None:
        """A figure of this machine, or None: absolute figures of another machine are refused."""
        return self.figures.get(name) if fingerprint and fingerprint == self.fingerprint else None

    def refuse_noise(self, recording: Measured) -> None:
        """Raise Inconclusive if others used more of the machine, or work waited for a CPU longer, than limits allow."""
        others = recording.meta.pressure.get("others_cpu_share")
        most = self.limits.get("others_cpu_share")
        if others is not None and most is not None and float(others) > most:
            raise Inconclusive(
                f"{recording.name}: others used {float(others):.0%} of the machine's CPU time, limit {most:.0%}:"
                " measure again when they are gone"
            )
        share = recording.meta.pressure.get("cpu_stall_share")
        limit = self.limit("cpu_stall_share")
        if share is None:
            raise Inconclusive(f"{recording.name}: the kernel does not say how busy the machine was")
        if float(share) > limit:
            raise Inconclusive(
                f"{recording.name}: work waited for a CPU {float(share):.0%} of the time, limit {limit:.0%}: too busy"
                " a machine to measure on"
            )


def load(path: Path) -> Thresholds:
    """Read a thresholds file.

    Raises:
        BadThresholds: missing, no JSON, or not of the form that `save` writes.
    """
    try:
        body = cast("dict[str, Any]", json.loads(path.read_text()))
        machine: dict[str, Any] = body.get("machine") or {}
        return Thresholds(
            limits={str(name): float(entry["value"]) for name, entry in body["limits"].items()},
            fingerprint=str(machine.get("fingerprint", "")),
            figures={
                str(name): Calibrated(int(one["n"]), float(one["mean"]), float(one["sd"]), tuple(one["runs"]))
                for name, one in body["figures"].items()
            },
        )
    except OSError as error:
        raise BadThresholds(f"thresholds: {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadThresholds(f"thresholds: {path.name} is damaged: {type(error).__name__}: {error}") from error


def calibrate(path: Path, machine: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Write measured figures with the machine they belong to into a thresholds file; its limits stay.

    Args:
        path: an existing thresholds file.
        machine: the machine of all runs, as `run.json` describes it.
        figures: by name, each with `n`, `mean`, `sd`, `runs` and `unit`.

    Raises:
        BadThresholds: the file is missing or damaged.
    """
    load(path)
    body = cast("dict[str, Any]", json.loads(path.read_text()))
    body["machine"] = {key: machine[key] for key in ("fingerprint", "cpus", "cpu_model", "memory_bytes", "kernel")}
    body["figures"] = {name: dict(figures[name]) for name in sorted(figures)}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(body, indent=2) + "\n")
    draft.replace(path)
