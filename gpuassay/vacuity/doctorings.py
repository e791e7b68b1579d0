"""Ways to falsify a recording, each of which a judge that read the falsified part should notice.

A doctoring says of a system what no sound system does: nothing happened, everything was refused, the order is another.
They are pure: from rows and notes to rows and notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gpuassay.manifest import Manifest
from gpuassay.record import facts
from gpuassay.record.parts import ASKED, AUDIT, EVENTS, METRICS
from gpuassay.vacuity.held import Held

_CORE_NOTES = frozenset(note.name for note in (facts.MARKS, facts.ATTEMPTS, facts.AT_REST, facts.OUTSIDE))
"""What labs and the engine note by themselves: moments and refusals, not what the system did."""


@dataclass(frozen=True)
class Doctoring:
    """One way to falsify a recording.

    Attributes:
        name: in tables and in exceptions.
        says: what the falsified recording claims, as a clause.
        change: gives the falsified recording; the same one where there is nothing to falsify.
        quick: it is among those that the tests of the project try.
        partial: it leaves enough true for a sound judge to hold: whoever stays green is counted, not accused.
    """

    name: str
    says: str
    change: Callable[[Held], Held]
    quick: bool = False
    partial: bool = False


# -- rows --------------------------------------------------------------------------------------------------------------


def _without(file: str) -> Callable[[Held], Held]:
    return lambda held: held.with_rows(file, [])


def _all_parts_emptied(held: Held) -> Held:
    for file in held.files:
        if file != ASKED.file:
            held = held.with_rows(file, [])
    return held


def _everything_emptied(held: Held) -> Held:
    held = _all_parts_emptied(held).with_rows(ASKED.file, [])
    return held.with_notes({key: _emptied(value) for key, value in held.notes.items()})


def _of_kind(kind: str) -> Callable[[Held], Held]:
    def without(held: Held) -> Held:
        return held.with_rows(EVENTS.file, [row for row in held.rows(EVENTS.file) if _kind(row) != kind])

    return without


def _kind(row: Manifest) -> str:
    return str(row.get("object", {}).get("kind", ""))


def _objects(held: Held, change: Callable[[Manifest], Manifest]) -> Held:
    rows = [{**row, "object": change(row["object"])} if "object" in row else row for row in held.rows(EVENTS.file)]
    return held.with_rows(EVENTS.file, rows)


def _status_stripped(held: Held) -> Held:
    return _objects(held, lambda one: {key: value for key, value in one.items() if key != "status"})


_OPPOSITE = {"True": "False", "False": "True"}


def _negated_conditions(one: Manifest) -> Manifest:
    conditions: list[Manifest] = one.get("status", {}).get("conditions") or []
    if not conditions:
        return one
    turned = [{**each, "status": _OPPOSITE.get(each.get("status", ""), each.get("status"))} for each in conditions]
    return {**one, "status": {**one["status"], "conditions": turned}}


def _conditions_negated(held: Held) -> Held:
    return _objects(held, _negated_conditions)


def _tail_cut(held: Held) -> Held:
    rows = held.rows(EVENTS.file)
    return held.with_rows(EVENTS.file, rows[: len(rows) * 2 // 3])


def _reversed(held: Held) -> Held:
    """Histories run backwards: what was last is first, at the times at which something was received."""
    rows = [row for row in held.rows(EVENTS.file) if "object" in row]
    times = sorted(row["at"] for row in rows)
    held = held.with_rows(EVENTS.file, [{**row, "at": at} for at, row in zip(times, reversed(rows), strict=True)])
    for file in held.files:
        if file.startswith("logs/"):
            held = held.with_rows(file, list(reversed(held.rows(file))))
    return held


def _nothing_happened(held: Held) -> Held:
    """Objects as they were made, without status; nobody logged or did anything."""
    seen: set[str] = set()
    made: list[Manifest] = []
    asked = {(one.get("kind"), one.get("metadata", {}).get("name")) for one in held.rows(ASKED.file)}
    for row in held.rows(EVENTS.file):
        one: Manifest = row.get("object", {})
        metadata = one.get("metadata", {})
        key = f"{one.get('kind')}/{metadata.get('namespace')}/{metadata.get('name')}"
        if key not in seen and (one.get("kind"), metadata.get("name")) in asked:
            seen.add(key)
            made.append({**row, "object": {name: value for name, value in one.items() if name != "status"}})
    held = held.with_rows(EVENTS.file, made)
    for file in held.files:
        if file not in (ASKED.file, EVENTS.file, AUDIT.file):
            held = held.with_rows(file, [])
    return held


def _metrics(value: Callable[[float], float]) -> Callable[[Held], Held]:
    def changed(held: Held) -> Held:
        rows = [{**row, "value": value(row["value"])} for row in held.rows(METRICS.file)]
        return held.with_rows(METRICS.file, rows)

    return changed


# -- notes -------------------------------------------------------------------------------------------------------------


def _emptied(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    return _no_dicts(_no_lists(value))


def _notes(change: Callable[[Any], Any], core: bool = False) -> Callable[[Held], Held]:
    def changed(held: Held) -> Held:
        return held.with_notes(
            {key: value if key in _CORE_NOTES and not core else change(value) for key, value in held.notes.items()}
        )

    return changed


def _everywhere(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Applied to each value in a note, from the inside out."""

    def walk(value: object) -> Any:
        if isinstance(value, list):
            return change([walk(one) for one in cast("list[Any]", value)])
        if isinstance(value, dict):
            return change({key: walk(one) for key, one in cast("dict[str, Any]", value).items()})
        return change(value)

    return walk


def _nothing_shown(held: Held) -> Held:
    name = facts.OBSERVED.name
    shown: Mapping[str, bool] = held.notes.get(name, {})
    return held.with_notes({**held.notes, name: dict.fromkeys(shown, False)}) if shown else held


def _no_lists(value: Any) -> Any:
    return [] if isinstance(value, list) else value


def _no_dicts(value: Any) -> Any:
    return {} if isinstance(value, dict) else value


def _not(value: Any) -> Any:
    return not value if isinstance(value, bool) else value


ALL: Sequence[Doctoring] = (
    Doctoring("events-emptied", "no watch showed anything", _without(EVENTS.file)),
    Doctoring("status-stripped", "no object ever had a status", _status_stripped),
    Doctoring("conditions-negated", "every condition was the opposite", _conditions_negated, partial=True),
    Doctoring("order-reversed", "everything happened in the reverse order", _reversed, partial=True),
    Doctoring("tail-cut", "the last third of the watch is missing", _tail_cut, partial=True),
    Doctoring("nothing-happened", "objects were made and nobody did anything", _nothing_happened, quick=True),
    Doctoring("audit-emptied", "the API server wrote nothing down", _without(AUDIT.file)),
    Doctoring("metrics-emptied", "no metric was sampled", _without(METRICS.file)),
    Doctoring("metrics-zero", "every metric was 0", _metrics(lambda _: 0.0)),
    Doctoring("notes-lists-emptied", "every list in a note is empty", _notes(_everywhere(_no_lists)), quick=True),
    Doctoring("notes-dicts-emptied", "every mapping in a note is empty", _notes(_no_dicts)),
    Doctoring("nothing-shown", "the system showed nothing that it was given time for", _nothing_shown),
    Doctoring("booleans-negated", "every yes in a note is a no", _notes(_everywhere(_not)), partial=True),
    Doctoring("notes-emptied", "the scenario handed nothing on", lambda held: held.with_notes({})),
    Doctoring("parts-emptied", "only notes are left", _all_parts_emptied),
    Doctoring("everything-emptied", "nothing was asked, nothing happened", _everything_emptied, quick=True),
)  # fmt: skip
"""Those that fit every system."""


def without_file(file: str) -> Doctoring:
    """A file of the system's own has no rows. Of what a log tells the watch tells the gist, so that is partial."""
    emptied = f"{file.removesuffix('.jsonl')}-emptied"
    return Doctoring(emptied, f"{file} has no rows", _without(file), partial=file.startswith("logs/"))


def without_kind(kind: str) -> Doctoring:
    """No object of a kind was ever seen."""
    return Doctoring(f"no-{kind}", f"no {kind} was ever seen", _of_kind(kind))
