"""`docs/kill-matrix.md`: every behaviour with its mutant, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuassay.kills.store import IDENTITY, KILLED, NOT_RUN, SILENT, SURVIVED, Results
from gpuassay.verdict import Level, State

_HEAD = (
    "Made by `python -m gpuassay kill-matrix`; do not edit. A *mutant* breaks the system under test on purpose. A",
    "behaviour is *killed* if its mutant turned it red (FAIL); it *SURVIVED* if it stayed green, and then it proves",
    "nothing. One that was skipped, broke or fails anyway *says nothing*. *Not run*: nobody has tried it since it was",
    "written; nothing is assumed.",
)

FATES = (KILLED, SURVIVED, SILENT, NOT_RUN)


@dataclass(frozen=True)
class Row:
    """A declared behaviour.

    Attributes:
        id: the behaviour, with its case.
        suite: its system.
        level: how binding it is.
        mutant: the mutant that it names, "" for none.
        layer: what that mutant changes.
        defect: the upstream issue by which it fails, "" for none.
    """

    id: str
    suite: str
    level: str
    mutant: str
    layer: str
    defect: str


def page(rows: Sequence[Row], results: Results) -> str:
    """The page as Markdown; a kill that nobody has tried is `not run`, never assumed."""
    return "\n".join(_lines(sorted(rows, key=lambda one: (one.suite, one.id)), results)) + "\n"


def why_without(row: Row, results: Results) -> str:
    """Why a behaviour names no mutant."""
    if row.defect or _known(row, results):
        return f"it fails already, as a known defect{f': {row.defect}' if row.defect else ''}"
    if row.level == Level.INFO:
        return "a figure without a bound: nothing turns it red"
    if row.suite == "upstream":
        return "judged by another project's own suite"
    return "none is written yet"


def _known(row: Row, results: Results) -> bool:
    tried = results.tried(IDENTITY, row.id)
    return tried is not None and tried.state is State.KNOWN_DEFECT


def _lines(rows: Sequence[Row], results: Results) -> Iterator[str]:
    suites = sorted({one.suite for one in rows})
    named = [one for one in rows if one.mutant]
    yield "# Kill matrix"
    yield ""
    yield from _HEAD
    yield ""
    yield "## By system"
    yield ""
    yield f"| system | behaviours | name a mutant | {' | '.join(FATES)} | without | identity: run | red |"
    yield f"| --- {'| ---: ' * (len(FATES) + 5)}|"
    for suite in suites:
        yield _total(suite, [one for one in rows if one.suite == suite], results)
    yield _total("all", rows, results)
    yield ""
    yield "Identity is the mutant that breaks nothing: whoever turns red under it accuses the innocent."
    yield ""
    yield "## By what the mutant changes"
    yield ""
    yield f"| layer | mutants | behaviours | {' | '.join(FATES)} |"
    yield f"| --- {'| ---: ' * (len(FATES) + 2)}|"
    for layer in sorted({one.layer for one in named}):
        group = [one for one in named if one.layer == layer]
        fates = Counter(results.fate(one.mutant, one.id) for one in group)
        cells = [str(len({one.mutant for one in group})), str(len(group)), *(str(fates[fate]) for fate in FATES)]
        yield f"| {layer or 'unknown'} | {' | '.join(cells)} |"
    for suite in suites:
        yield from _suite(suite, [one for one in named if one.suite == suite], results)
    yield from _without([one for one in rows if not one.mutant], results)


def _total(name: str, rows: Sequence[Row], results: Results) -> str:
    named = [one for one in rows if one.mutant]
    fates = Counter(results.fate(one.mutant, one.id) for one in named)
    identity = [tried for one in rows if (tried := results.tried(IDENTITY, one.id))]
    red = sum(one.state in (State.FAIL, State.ERROR) for one in identity)
    cells = [len(rows), len(named), *(fates[fate] for fate in FATES), len(rows) - len(named), len(identity), red]
    return f"| {name} | {' | '.join(map(str, cells))} |"


def _suite(suite: str, rows: Sequence[Row], results: Results) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"## {suite}"
    yield ""
    yield "| mutant | layer | behaviour | result | when |"
    yield "| --- | --- | --- | --- | --- |"
    for one in sorted(rows, key=lambda row: (row.mutant, row.id)):
        tried = results.tried(one.mutant, one.id)
        fate = tried.fate if tried else NOT_RUN
        told = f"{fate} ({tried.state})" if tried and fate == SILENT else fate
        when = f"{tried.date}, {tried.version}" if tried else "-"
        yield f"| `{one.mutant}` | {one.layer or 'unknown'} | `{one.id}` | {told} | {when} |"


def _without(rows: Sequence[Row], results: Results) -> Iterator[str]:
    yield ""
    yield "## Without a mutant"
    yield ""
    yield "| behaviour | level | why |"
    yield "| --- | --- | --- |"
    for one in rows:
        yield f"| `{one.id}` | {one.level} | {why_without(one, results)} |"
