"""Whether a way to a model server changes what it answers: judged against the answer that it gives directly. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuassay.systems.llmd.rows import ShapeRow

DIRECT = "direct"
LATER_SECONDS = 2.0
"""An answer through the gateway may come so much later than the direct one."""


def findings(rows: Sequence[ShapeRow], group: str) -> list[str]:
    """Requests of a group that are answered otherwise through the gateway than directly.

    A served request must be served with the same status, media type and meaning; a refused one must be refused as the
    client's fault (4xx) if it was so directly, and must not be served.
    """
    mine = [row for row in rows if row.group == group]
    direct = {row.label: row for row in mine if row.hop == DIRECT}
    through = [row for row in mine if row.hop != DIRECT]
    if not through or {row.label for row in through} != set(direct):
        return [f"{group}: not every request was asked both ways, so nothing is proved"]
    return [f"{group}, {row.label}: {said}" for row in through for said in _compared(direct[row.label], row)]


def _compared(expected: ShapeRow, seen: ShapeRow) -> list[str]:
    if expected.status is None:
        return [f"the model server itself gave no answer ({expected.error}): nothing to compare with"]
    if seen.status is None:
        return [f"no answer ({seen.error}), {_told(expected)} directly"]
    if expected.status < 400:
        same = (seen.status, seen.kind) == (expected.status, expected.kind)
        if not same:
            return [f"{_told(seen)}, {_told(expected)} directly"]
        if seen.meaning != expected.meaning:
            return [f"another answer than directly: {_difference(expected.meaning, seen.meaning)}"]
    elif seen.status // 100 != expected.status // 100:
        return [f"{_told(seen)}, {_told(expected)} directly"]
    if seen.took_s > expected.took_s + LATER_SECONDS:
        return [f"answered after {seen.took_s:.1f} s, after {expected.took_s:.1f} s directly"]
    return []


def _told(row: ShapeRow) -> str:
    said = f" ({' '.join(row.detail.split())[:120]})" if row.detail else ""
    return f"{row.status} {row.kind}".strip() + said


def _difference(expected: str, seen: str) -> str:
    at = next((n for n, (one, other) in enumerate(zip(expected, seen, strict=False)) if one != other), None)
    place = max(0, (min(len(expected), len(seen)) if at is None else at) - 30)
    return f"..{seen[place : place + 90]!r} instead of ..{expected[place : place + 90]!r}"


def moved_findings(rows: Sequence[ShapeRow], warmed: Mapping[str, str]) -> list[str]:
    """Requests that did not go to the replica that has their prompt, though they differ in what does not matter.

    Args:
        rows: the requests, through the gateway.
        warmed: by label, the replica that has the prompt; each must have been asked.
    """
    asked = {row.label: row for row in rows}
    found = [f"{label}: not asked" for label in warmed if label not in asked]
    for label, row in asked.items():
        if row.status != 200 or not row.served_by:
            found.append(f"{label}: {_told(row)}, so it has no place")
        elif label in warmed and row.served_by != warmed[label]:
            found.append(f"{label} moved the request from {warmed[label]} to {row.served_by}")
    return found or ([] if asked else ["nothing was asked"])


def deciding_findings(rows: Sequence[ShapeRow], warmed: str) -> list[str]:
    """Nothing, if of requests for other prompts one at least went elsewhere than to the replica that has one prompt."""
    if not rows or any(row.status != 200 for row in rows):
        return [f"{row.label}: {_told(row)}, so it has no place" for row in rows if row.status != 200] or ["not asked"]
    if all(row.served_by == warmed for row in rows):
        return [f"all {len(rows)} other prompts went to {warmed}: the prompt does not decide"]
    return []


def kept_findings(direct: Sequence[Sequence[str]], through: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """Headers that reach the other side otherwise through the gateway than directly; values of one name in their order.

    Args:
        direct: names and values as they came directly.
        through: as they came through the gateway.
        names: of the headers that were sent.
    """
    found: list[str] = []
    for name in dict.fromkeys(names):
        wanted, seen = (", ".join(one[1] for one in way if one[0] == name) for way in (direct, through))
        if not any(one[0] == name for one in direct):
            found.append(f"{name}: it did not come directly either, so nothing is proved")
        elif not any(one[0] == name for one in through):
            found.append(f"{name}: it did not come, {wanted!r} directly")
        elif seen != wanted:
            found.append(f"{name}: {seen!r} came, {wanted!r} directly")
    return found
