"""The kill matrix in the report, by system and by what mutants change: results that come with the library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gpuassay.kills.store import KILLED, NOT_RUN, SILENT, SURVIVED, BadResultsError, Results, load
from gpuassay.report.exhibits import Exhibit, Table
from gpuassay.verdict import Verdict

SECTION = "Could it be red? Systems broken on purpose"
IDENTITY = "kill-matrix"
FATES = (KILLED, SURVIVED, SILENT, NOT_RUN)


def matrix(verdicts: Iterable[Verdict], results: Results) -> Table | None:
    """A row for each system and layer of mutants; None where no behaviour of the run names a mutant."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    without: Counter[str] = Counter()
    for one in verdicts:
        if one.mutant:
            groups.setdefault((one.suite, results.layer(one.mutant) or "unknown"), []).append(one)
        else:
            without[one.suite] += 1
    if not groups:
        return None
    rows: list[list[Any]] = [_row(suite, layer, group, results) for (suite, layer), group in sorted(groups.items())]
    told = ", ".join(f"{count} of {suite}" for suite, count in sorted(without.items()))
    return Table(
        id=IDENTITY,
        title="Behaviours of this run by the mutant that must turn them red: results of the last kill runs",
        kind="table",
        columns=["system", "the mutant changes", "mutants", "behaviours", *FATES, "last run"],
        rows=rows,
        notes=[
            "SURVIVED: the behaviour stayed green under its mutant. Says nothing: skipped, broke, or fails anyway.",
            "Not run: nobody has tried it since it was written. Each behaviour stands in docs/kill-matrix.md.",
            *([f"Without a mutant: {told}."] if told else []),
        ],
        section=SECTION,
    )


def with_kills(exhibits: Sequence[Exhibit], verdicts: Iterable[Verdict]) -> list[Exhibit]:
    """The exhibits of a run and the kill matrix of its behaviours."""
    try:
        made = matrix(verdicts, load())
    except BadResultsError:  # a report is written all the same
        made = None
    return [*exhibits, *([made] if made else [])]


def _row(suite: str, layer: str, group: Sequence[Verdict], results: Results) -> list[Any]:
    fates = Counter(results.fate(one.mutant, one.behaviour) for one in group)
    dates = [tried.date for one in group if (tried := results.tried(one.mutant, one.behaviour))]
    mutants = len({one.mutant for one in group})
    return [suite, layer, mutants, len(group), *(fates[fate] for fate in FATES), max(dates, default=None)]
