"""Where an endpoint picker sent requests, held against where its scorers must send them.

Rows as in `gpuassay.judge.routing`: `served_by` names the replica that was picked. Ties are broken at random (picker
`max-score-picker`), so what must not matter is judged by an even spread, and what must matter by every single pick.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gpuassay.judge.routing import Row, answered, failure_findings, shown


def only_findings(rows: Sequence[Row], allowed: Collection[str]) -> list[str]:
    """Picks that are none of the `allowed` replicas, and refusals; or that nothing was picked at all."""
    found = failure_findings(rows)
    strays = [row for row in answered(rows) if row.get("served_by") not in allowed]
    if strays:
        wanted = " or ".join(sorted(allowed)) or "nobody"
        found.append(f"expected all {len(rows)} picks to be {wanted}, seen {len(strays)} elsewhere: {shown(strays)}")
    return found


def reached_findings(rows: Sequence[Row], wanted: Collection[str]) -> list[str]:
    """Replicas among `wanted` that no pick went to."""
    missed = sorted(set(wanted) - {str(row.get("served_by")) for row in answered(rows)})
    return [f"of {len(rows)} picks none went to {', '.join(missed)}: {shown(rows)}"] if missed else []


def placed_findings(rows: Sequence[Row], expected: Mapping[str, str], allowed: int = 0) -> list[str]:
    """Rows that did not go to the replica expected of their prompt (by label), if there are more than `allowed`."""
    found = failure_findings(rows)
    wrong = [row for row in answered(rows) if row.get("served_by") != expected.get(str(row["label"]))]
    if len(wrong) > allowed:
        told = ", ".join(f"{row['label']} on {expected.get(str(row['label']), 'nobody')}" for row in wrong[:10])
        found.append(f"expected {told}; seen {shown(wrong)}")
    return found


def refused_findings(rows: Sequence[Row], status: int) -> list[str]:
    """Rows that were not refused with this status; or that there are none."""
    if not rows:
        return ["no requests: nothing was asked"]
    wrong = [row for row in rows if row.get("status") != status]
    return [f"expected all {len(rows)} requests to be refused with {status}, seen {shown(wrong)}"] if wrong else []
