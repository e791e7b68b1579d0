"""Rounds of a measurement that an earlier run has recorded already: taken over instead of played again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuassay.record import facts
from gpuassay.record.recording import Recording
from gpuassay.record.rows import UnusableError
from gpuassay.scenarios.lab import Lab

ASIDE = ".partial"
"""Suffix of a recording while it is copied."""


def take(lab: Lab, names: Sequence[str]) -> bool:
    """Copy the arms `names` of the lab's scenario from the newest run in the same folder of runs that has them all.

    Only runs of the same machine and programs count, and none with a mutant on either side. False where none has them;
    then nothing is copied.
    """
    if lab.place is None or lab.mutant is not None:
        return False
    own = lab.place.parents[1]
    for other in sorted(own.parent.iterdir(), reverse=True):
        if other == own or not _alike(own, other):
            continue
        places = [other / "recordings" / f"{lab.place.name}.{name}" for name in names]
        if all(_complete(place) for place in places):
            for place in places:
                _copy(place, own)
            for name in names:
                lab.note_next(facts.ARMS, name)
            return True
    return False


def whole(scenario: str, run: Path) -> bool:
    """Copy a scenario's recording and those of its arms from the newest run in the same folder of runs that has it."""
    for other in sorted(run.parent.iterdir(), reverse=True):
        place = other / "recordings" / scenario
        if other == run or not _alike(run, other) or not _complete(place):
            continue
        arms = [place.with_name(f"{scenario}.{name}") for name in Recording.load(place).arms]
        if all(_complete(one) for one in arms):
            for one in (*arms, place):  # the scenario's own is the sign that all are there
                _copy(one, run)
            return True
    return False


def _copy(place: Path, run: Path) -> None:
    target = run / "recordings" / place.name
    draft = target.with_name(target.name + ASIDE)
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(place, draft)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _complete(place: Path) -> bool:
    try:
        return Recording.load(place).require_known().require_of(place.name).meta.outcome == "ok"
    except (OSError, UnusableError, ValueError):
        return False


def _alike(own: Path, other: Path) -> bool:
    mine, theirs = _described(own), _described(other)
    if not theirs or theirs.get("mutant") or theirs.get("mode") != "live":
        return False
    if _fingerprint(mine) != _fingerprint(theirs):
        return False
    programs = _programs(theirs)
    return all(programs.get(name, sha) == sha for name, sha in _programs(mine).items())


def _fingerprint(run: dict[str, Any]) -> str:
    machine: dict[str, Any] = run.get("machine") or {}
    return str(machine.get("fingerprint", ""))


def _programs(run: dict[str, Any]) -> dict[str, str]:
    found: list[dict[str, Any]] = run.get("components") or []
    return {str(one.get("name")): str(one.get("sha256")) for one in found}


def _described(run: Path) -> dict[str, Any]:
    try:
        return json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
