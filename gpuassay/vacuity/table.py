"""What a vacuity run has found, as lines, JSON and a table of the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest

KEPT = ("PASS", "KNOWN-DEFECT")
"""States that a judgement of falsified recordings should not end in."""


@dataclass(frozen=True)
class Judged:
    """How one behaviour ended on one doctored recording.

    Attributes:
        behaviour: its id, variant included.
        true: the state on the true recordings.
        doctoring: name of the doctoring.
        state: the state on the doctored ones.
        reason: first line of why.
        partial: the doctoring leaves enough true for a sound judge to hold.
    """

    behaviour: str
    true: str
    doctoring: str
    state: str
    reason: str
    partial: bool = False

    @property
    def survived(self) -> bool:
        """Whether it ended as if nothing had been falsified."""
        return self.state == self.true

    @property
    def by_referee(self) -> bool:
        """Whether only an invariant saw it, not the test."""
        return self.state == "FAIL" and self.reason.startswith("invariant: ")


@dataclass(frozen=True)
class Argued:
    """Behaviours that rightly stay as they are under a doctoring, and why.

    Attributes:
        doctorings: names, or a pattern of `fnmatch` each.
        behaviours: ids, or patterns.
        why: one sentence.
    """

    doctorings: Sequence[str]
    behaviours: Sequence[str]
    why: str

    def fits(self, one: Judged) -> bool:
        """Whether it speaks of this judgement."""
        return any(fnmatchcase(one.doctoring, each) for each in self.doctorings) and any(
            _alike(one.behaviour, each) for each in self.behaviours
        )


def _alike(behaviour: str, pattern: str) -> bool:
    """Brackets name a variant and are no set of characters here."""
    return fnmatchcase(behaviour.translate(_BRACKETS), pattern.translate(_BRACKETS))


_BRACKETS = str.maketrans("[]", "<>")


def read(folder: Path) -> list[Judged]:
    """What the processes of a vacuity run have written down, by behaviour."""
    found: list[Judged] = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            one: Manifest = json.loads(line)
            found += [Judged(one["behaviour"], one["state"], **tried) for tried in one["tried"]]
    return sorted(found, key=lambda one: (one.behaviour, one.doctoring))


def unargued(judged: Iterable[Judged], argued: Sequence[Argued]) -> list[Judged]:
    """What survived a doctoring of something that it reads, and nobody says why it may."""
    return [one for one in judged if one.survived and not one.partial and not any(each.fits(one) for each in argued)]


def idle(judged: Sequence[Judged], argued: Sequence[Argued], *, whole: bool) -> list[str]:
    """Exceptions, pattern by pattern, that excuse nothing: what they speak of is noticed by now, or not there.

    `whole`: every behaviour was judged under every doctoring; else only what was judged can accuse an exception.
    """
    found: list[str] = []
    for each in argued:
        for doctoring in each.doctorings:
            for behaviour in each.behaviours:
                spoken_of = [one for one in judged if Argued([doctoring], [behaviour], "").fits(one)]
                if (spoken_of or whole) and not any(one.survived and not one.partial for one in spoken_of):
                    found.append(f"{behaviour} under {doctoring}")
    return found


def by_doctoring(judged: Iterable[Judged], argued: Sequence[Argued]) -> list[tuple[str, Mapping[str, int]]]:
    """Per doctoring: how many read what it falsifies, and how they ended."""
    counts: dict[str, Counter[str]] = {}
    for one in judged:
        count = counts.setdefault(one.doctoring, Counter())
        count["read"] += 1
        if one.survived and one.partial:
            count["partial"] += 1
        elif one.survived:
            count["argued" if any(each.fits(one) for each in argued) else "vacuous"] += 1
        else:
            count["referee" if one.by_referee else one.state] += 1
    return sorted(counts.items())


COLUMNS = ("read", "FAIL", "referee", "ERROR", "INCONCLUSIVE", "partial", "argued", "vacuous")


def text(judged: Sequence[Judged], argued: Sequence[Argued]) -> list[str]:
    """The table and what nobody argues for, as lines."""
    rows = by_doctoring(judged, argued)
    width = max([len(name) for name, _ in rows], default=10)
    lines = [f"{'doctoring':<{width}}  " + "  ".join(f"{column:>12}" for column in COLUMNS)]
    lines += [f"{name:<{width}}  " + "  ".join(f"{count.get(one, 0):>12}" for one in COLUMNS) for name, count in rows]
    left = unargued(judged, argued)
    behaviours = sorted({one.behaviour for one in left})
    lines.append(
        f"{len({one.behaviour for one in judged})} behaviours were judged again {len(judged)} times;"
        f" {len(behaviours)} of them stay green on something false that they read"
    )
    lines += [f"  {name}: {', '.join(one.doctoring for one in left if one.behaviour == name)}" for name in behaviours]
    return lines


def as_json(judged: Sequence[Judged], argued: Sequence[Argued]) -> Manifest:
    """The same for programs."""
    rows = by_doctoring(judged, argued)
    left = unargued(judged, argued)
    why = [(one, each.why) for one in judged if one.survived and not one.partial for each in argued if each.fits(one)]
    return {
        "doctorings": [{"doctoring": name, **{key: count.get(key, 0) for key in COLUMNS}} for name, count in rows],
        "vacuous": [{"behaviour": one.behaviour, "state": one.true, "doctoring": one.doctoring} for one in left],
        "argued": [{"behaviour": one.behaviour, "doctoring": one.doctoring, "why": reason} for one, reason in why],
    }


def exhibit(judged: Sequence[Judged], argued: Sequence[Argued]) -> dict[str, Any]:
    """The table as an exhibit of the report."""
    return {
        "id": "vacuity",
        "title": "Judged again on falsified recordings",
        "kind": "table",
        "columns": ["what was falsified", *COLUMNS],
        "rows": [[name, *(count.get(one, 0) for one in COLUMNS)] for name, count in by_doctoring(judged, argued)],
        "notes": [
            "read: behaviours whose test read what was falsified; referee: only an invariant saw it",
            "partial: green, and enough is left true; argued: green, for a reason that is written down",
        ],
        "section": "vacuity",
    }
