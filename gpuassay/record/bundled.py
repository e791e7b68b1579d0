"""Recordings that come with the library: of systems that not every machine can have, made with the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpuassay.record.pack import check_run, open_run


@dataclass(frozen=True)
class Recorded:
    """Where a recording that was not made in this run comes from.

    Attributes:
        what: the system and its version.
        run_id: of the run that made it.
        started: when that run began, ISO 8601.
    """

    what: str
    run_id: str
    started: str

    def __str__(self) -> str:
        """As a clause for a reason."""
        return f"judged from a recording of {self.what}, made by run {self.run_id} on {self.started[:10]}"


@dataclass(frozen=True)
class Bundle:
    """An archive of a run.

    Attributes:
        archive: the `.tar.xz`.
        what: name of the system that it is kept for.
        component: of the run, whose version is told.
    """

    archive: Path
    what: str
    component: str


def find(bundles: Sequence[Bundle], scenario: str) -> tuple[Path, Recorded] | None:
    """The folder of a scenario's recording in one of the bundles, and where it comes from; None where none has it."""
    for one in bundles:
        if not one.archive.exists():
            continue
        run = _opened(one.archive)
        place = run / "recordings" / scenario
        if place.exists():
            return place, _origin(one, run)
    return None


@cache
def _opened(archive: Path) -> Path:
    return open_run(archive)


def _origin(bundle: Bundle, run: Path) -> Recorded:
    told = check_run(run)
    version = next((one["version"] for one in told["components"] if one["name"] == bundle.component), "unknown")
    return Recorded(f"{bundle.what} {version}", str(told["run_id"]), str(told["started"]))
