"""Where an endpoint picker sent requests, held against where its scorers must send them.

`served_by` of a row names the replica that was picked. Ties are broken at
random (picker `max-score-picker`), so what must not matter is judged by an even spread, and what must matter by every
single pick.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gpuassay.systems.llmd.judge.routing import (
    answered,
    control_findings,
    direct_warm,
    failure_findings,
    replicas_by_prompt,
    shown,
)
from gpuassay.systems.llmd.rows import RequestRow


def only_findings(rows: Sequence[RequestRow], allowed: Collection[str]) -> list[str]:
    """Picks that are none of the `allowed` replicas, and refusals; or that nothing was picked at all."""
    found = failure_findings(rows)
    strays = [row for row in answered(rows) if row.served_by not in allowed]
    if strays:
        wanted = " or ".join(sorted(allowed)) or "nobody"
        found.append(f"expected all {len(rows)} picks to be {wanted}, seen {len(strays)} elsewhere: {shown(strays)}")
    return found


def reached_findings(rows: Sequence[RequestRow], wanted: Collection[str]) -> list[str]:
    """Replicas among `wanted` that no pick went to."""
    missed = sorted(set(wanted) - {str(row.served_by) for row in answered(rows)})
    return [f"of {len(rows)} picks none went to {', '.join(missed)}: {shown(rows)}"] if missed else []


def placed_findings(rows: Sequence[RequestRow], expected: Mapping[str, str | None], allowed: int = 0) -> list[str]:
    """Rows that did not go to the replica expected of their prompt (by label), if there are more than `allowed`."""
    found = failure_findings(rows)
    wrong = [row for row in answered(rows) if row.served_by != expected.get(row.label)]
    if len(wrong) > allowed:
        told = ", ".join(f"{row.label} on {expected.get(row.label) or 'nobody'}" for row in wrong[:10])
        found.append(f"expected {told}; seen {shown(wrong)}")
    return found


def drawn_findings(rows: Sequence[RequestRow], warmed: Mapping[str, str], replicas: int) -> list[str]:
    """Rows that failed, or that went where their prompt (by label) is `warmed` more often than chance sends them there.

    Raises:
        ValueError: as `gpuassay.systems.llmd.judge.routing.direct_warm`.
    """
    return failure_findings(rows) + control_findings(direct_warm(rows, warmed, replicas))


def refused_findings(rows: Sequence[RequestRow], status: int) -> list[str]:
    """Rows that were not refused with this status; or that there are none."""
    if not rows:
        return ["no requests: nothing was asked"]
    wrong = [row for row in rows if row.status != status]
    return [f"expected all {len(rows)} requests to be refused with {status}, seen {shown(wrong)}"] if wrong else []


TWINS_APART = 0.25
"""Share of equal requests that may go elsewhere than most of their kind with speculative indexing. Two that arrive
within the same millisecond are both looked up before either is entered, so it is not 0: up to 0.06 was seen on two
crowded cores. Chance alone, with four replicas and events held back, leaves about 0.5 apart."""


def apart(rows: Sequence[RequestRow]) -> float:
    """Share of requests that did not go where most requests of their prompt (label) went; failed ones count among them.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no requests: whether twins stay together cannot be told")
    together = sum(max(replicas.values()) for replicas in replicas_by_prompt(rows).values())
    return 1 - together / len(rows)


def apart_findings(rows: Sequence[RequestRow], at_most: float = TWINS_APART) -> list[str]:
    """Whether more than this share of equal requests was sent apart; with the replicas of every prompt."""
    share = apart(rows)
    if share <= at_most:
        return []
    told = "; ".join(
        f"{label}: {', '.join(f'{name} {times}x' for name, times in replicas.most_common())}"
        for label, replicas in replicas_by_prompt(rows).items()
    )
    return [f"expected at most {at_most:.0%} of equal requests apart from the others, seen {share:.0%} ({told})"]
