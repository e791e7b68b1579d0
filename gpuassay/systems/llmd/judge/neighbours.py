"""Whether a picker bears its neighbours' faults: it lives, others are served at once, and it says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.systems.llmd.rows import NeighbourRow

AT_ONCE_SECONDS = 1.0
"""Until others must have their answer."""


def of(rows: Sequence[NeighbourRow], neighbour: str, *faults: str) -> list[NeighbourRow]:
    """The rows of a neighbour, of these faults alone if any are given.

    Raises:
        LookupError: one was not tried.
    """
    mine = [row for row in rows if row.neighbour == neighbour]
    missing = set(faults) - {row.fault for row in mine}
    if missing or not mine:
        raise LookupError(f"faults of {neighbour} that were not tried: {', '.join(sorted(missing)) or 'all'}")
    return [row for row in mine if not faults or row.fault in faults]


def borne_findings(rows: Sequence[NeighbourRow]) -> list[str]:
    """Faults that killed the picker, or for which somebody else got no answer, or a late one."""
    found: list[str] = []
    for row in rows:
        if not row.alive:
            found.append(f"{row.fault}: the picker ended")
        elif row.answered < row.asked:
            found.append(f"{row.fault}: {row.asked - row.answered} of {row.asked} others got nothing ({row.detail})")
        elif row.slowest_s > AT_ONCE_SECONDS:
            found.append(f"{row.fault}: another request was answered after {row.slowest_s:.1f} s")
    return found


def followed_findings(rows: Sequence[NeighbourRow]) -> list[str]:
    """Prompts that did not go where they are cached; a row that did not look proves nothing."""
    return [
        f"{row.fault}: " + ("nobody looked" if row.followed is None else "the prompt does not go where it is cached")
        for row in rows if not row.followed
    ]  # fmt: skip


def said_findings(rows: Sequence[NeighbourRow]) -> list[str]:
    """Faults of which neither the picker's log nor its metrics say anything."""
    return [f"{row.fault}: neither log nor metrics tell" for row in rows if not row.said and not row.counted]


def heeded_findings(rows: Sequence[NeighbourRow]) -> list[str]:
    """Objects beside which the picker ended, or heeded no other any more."""
    return [
        f"{row.fault}: the picker "
        + ("ended" if not row.alive else f"does not heed a rewrite that is made then ({row.detail or 'unchanged'})")
        for row in rows if not (row.alive and row.followed)
    ]  # fmt: skip
