"""A run that goes on where an earlier one stopped: recordings that are whole are taken over, the rest is acted out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay.record.pack import RunError, check_run
from gpuassay.record.recording import Recording
from gpuassay.record.rows import RecordingError

if TYPE_CHECKING:
    from gpuassay.scenarios.declare import Scenario

SECTION = "Taken over from an earlier run"
KEPT = ("cluster", "components", "emulated", "capabilities", "discovered")
"""What the earlier run said of where it acted: recordings that are taken over come from there."""


@dataclass
class Resumed:
    """An earlier run of which recordings are taken over.

    Attributes:
        folder: its directory.
        known: its `run.json`.
        taken: scenarios whose recordings were taken over, with the time of each.
    """

    folder: Path
    known: Mapping[str, Any]
    taken: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, scenarios: Iterable[Scenario], target: Path) -> None:
        """Copy into run directory `target` what of the scenarios was recorded to the end; nothing is half there."""
        for one in scenarios:
            place = self.folder / "recordings" / one.id
            ended = _whole(place)
            if ended is None:
                continue
            arms = place.parent.glob(f"{place.name}.*") if place.parent.is_dir() else ()
            for folder in (*arms, place):  # the scenario's own last: that is what says it is there
                shutil.copytree(folder, target / folder.relative_to(self.folder))
            self.taken[one.id] = ended

    def exhibit(self) -> dict[str, Any]:
        """Which recordings are not of this run, as a table."""
        return {
            "id": "taken-over", "kind": "table", "section": SECTION,
            "title": f"Recordings of run {self.known['run_id']}, which this run goes on with",
            "columns": ["scenario", "recorded until"], "rows": [list(row) for row in sorted(self.taken.items())],
            "notes": ["They are judged by today's judges; what is not listed was acted out in this run."],
        }  # fmt: skip


def _whole(place: Path) -> str | None:
    """When a recording ended, if it is whole and its scenario came to its end; else it is acted out anew."""
    if not (place / "recording.json").exists():
        return None
    try:
        found = Recording.load(place)
    except RecordingError:
        return None  # cut off when the run was killed
    if found.meta.outcome != "ok":
        return None
    return datetime.fromtimestamp(found.meta.ended_ns / 1e9, UTC).isoformat(timespec="seconds")


def earlier(folder: Path, now: Mapping[str, Any]) -> Resumed:
    """The run in `folder`, which a run that asks for `now` (mutant, full, cluster, machine) may go on with.

    Raises:
        RunError: no live run, or one that was asked for something else; one line says what differs.
    """
    known = check_run(folder)
    if known["mode"] != "live":
        raise RunError(f"--resume {folder}: a {known['mode']}; only a live run can be gone on with")
    for name, asked in now.items():
        was = known["machine"]["fingerprint"] if name == "machine" else known.get(name)
        if was != asked:
            raise RunError(
                f"--resume {folder}: that run had {name} {_said(was)}, this one has {_said(asked)}; "
                "ask for the same, or begin anew"
            )
    return Resumed(folder, known)


def _said(value: object) -> str:
    return "none" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def mixed(before: Sequence[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> str | None:
    """Why recordings of two runs are not of one system: a component has another version than `before`; else None."""
    names = {str(one["name"]) for one in before}
    found = sorted({str(one["name"]) for one in after if one not in before and str(one["name"]) in names})
    return f"recordings that were taken over are of another version of {', '.join(found)}" if found else None
