"""Doctorings that know what a system writes down: every request fails, nothing is cached, admissions change places."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.log import ASSUMED
from gpuassay.systems.kueue.readings import LOG
from gpuassay.systems.llmd.readings import PICKER_CALLS, REQUESTS
from gpuassay.vacuity.doctorings import Doctoring
from gpuassay.vacuity.held import Held


def _rows(file: str, change: Callable[[Manifest], Manifest]) -> Callable[[Held], Held]:
    return lambda held: held.with_rows(file, [change(row) for row in held.rows(file)])


def _failed(row: Manifest) -> Manifest:
    return {**row, "status": 500, "error": ""} if "clear_route_cache" not in row else {**row, "status": 500}


def _admissions_reversed(held: Held) -> Held:
    """Each decision names the workload of its counterpart from the end."""
    rows = held.rows(LOG.file)
    places = [place for place, row in enumerate(rows) if row.get("msg") == ASSUMED]
    turned = list(rows)
    for place, other in zip(places, reversed(places), strict=True):
        named = {key: rows[other][key] for key in ("workload", "clusterQueue") if key in rows[other]}
        turned[place] = {**rows[place], **named}
    return held.with_rows(LOG.file, turned)


def _never_admitted(held: Held) -> Held:
    return held.with_rows(LOG.file, [row for row in held.rows(LOG.file) if row.get("msg") != ASSUMED])


ALL: Sequence[Doctoring] = (
    Doctoring("answers-500", "every request was answered with 500", _rows(REQUESTS.file, _failed), quick=True),
    Doctoring("calls-500", "the picker refused every request with 500", _rows(PICKER_CALLS.file, _failed)),
    Doctoring("admissions-reversed", "Kueue decided in the reverse order", _admissions_reversed, quick=True),
    Doctoring("log-without-decisions", "Kueue's log tells of no decision", _never_admitted),
)
