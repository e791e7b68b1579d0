"""Gateways in front of an endpoint picker: what became of a request, who served it, and what happened to its bytes.

Judges are functions of request rows. They return what is wrong, as sentences, or nothing. An empty wave is wrong too:
it would prove anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuassay.load.headers import DESTINATION, SERVED
from gpuassay.systems.llmd.judge.routing import answered, shown
from gpuassay.systems.llmd.rows import RequestRow

_NONE = ["no requests: nothing was asked"]


# --- who served ------------------------------------------------------------------------------------------------------


def served_findings(rows: Sequence[RequestRow], allowed: Collection[str] | None = None) -> list[str]:
    """Requests that were not answered, or not by one of `allowed` (names of replicas); by their label without it."""
    if not rows:
        return _NONE
    good = {id(row) for row in answered(rows)}
    wrong = [
        row
        for row in rows
        if id(row) not in good or row.served_by not in (allowed if allowed is not None else [row.label])
    ]
    if not wrong:
        return []
    wanted = "the replica of its label" if allowed is None else " or ".join(sorted(allowed))
    return [f"expected {len(rows)} answers by {wanted}, seen {len(wrong)} otherwise: {shown(wrong)}"]


def strayed_findings(rows: Sequence[RequestRow], forbidden: str) -> list[str]:
    """Requests that `forbidden` served, which it must not; or that nobody asked anything."""
    if not rows:
        return _NONE
    strayed = [row for row in rows if row.served_by == forbidden]
    return [f"{forbidden} served {len(strayed)} of {len(rows)} requests: {shown(strayed)}"] if strayed else []


def reported_findings(rows: Sequence[RequestRow], endpoints: Mapping[str, str]) -> list[str]:
    """Answers whose served endpoint, as the gateway told the picker, is not that of the replica that served.

    Args:
        rows: answers that carry `SERVED`.
        endpoints: `address:port` by name of the replica.
    """
    good = answered(rows)
    if not good:
        return [f"no answered requests: nothing was reported; {shown(rows)}"]
    wrong = [row for row in good if row.headers.get(SERVED) != endpoints.get(str(row.served_by))]
    told = "; ".join(
        f"#{row.index} served by {row.served_by} ({endpoints.get(str(row.served_by))}),"
        f" reported {row.headers.get(SERVED)!r}"
        for row in wrong[:5]
    )
    if not wrong:
        return []
    return [f"expected the served endpoint in the report of {len(good)} answers, wrong in {len(wrong)}: {told}"]


def order_findings(seen: Sequence[Mapping[str, Any]], endpoints: Mapping[str, str], fewest: int) -> list[str]:
    """Requests with a list of picks that another than the first one received.

    Args:
        seen: per request that arrived at a replica: `pod` and `headers`, among them the picks in order.
        endpoints: `address:port` by name of the replica.
        fewest: requests that must have arrived, else nothing is proved.
    """
    lists = [[one.strip() for one in str(row["headers"].get(DESTINATION, "")).split(",")] for row in seen]
    if len(seen) < fewest or any(len(picks) < 2 for picks in lists):
        return [f"expected {fewest} requests with lists of at least 2 picks, seen {lists}"]
    if len({picks[0] for picks in lists}) < 2:
        return [f"all {len(lists)} lists begin with {lists[0][0]}: whether order counts cannot be told"]
    wrong = [
        f"picks {', '.join(picks)}, but {row['pod']} ({endpoints.get(row['pod'])}) got it"
        for row, picks in zip(seen, lists, strict=True)
        if endpoints.get(row["pod"]) != picks[0]
    ]
    if not wrong:
        return []
    return [f"expected the first pick to serve, {len(wrong)} of {len(seen)} times another did: {wrong[0]}"]


# --- bytes -----------------------------------------------------------------------------------------------------------


def bytes_findings(rows: Sequence[RequestRow], expected: Mapping[str, tuple[int, str]]) -> list[str]:
    """Answers whose status or bytes are not what the model server sent (status and digest by label)."""
    if missing := sorted(set(expected) - {row.label for row in rows}):
        return [f"nothing was asked for {', '.join(missing)}"]
    return [
        f"{row.label}: the model server sent status {expected[row.label][0]} and {expected[row.label][1]},"
        f" the client got {row.status} and {row.body} ({row.error or 'complete'})"
        for row in rows
        if (row.status, row.body) != expected[row.label]
    ]


def arrived_findings(wave: str, rows: Sequence[RequestRow], seen: Sequence[Mapping[str, Any]]) -> list[str]:
    """Requests that did not arrive exactly once, or whose JSON is not the one that was sent."""
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        label, sent = f"{wave}#{row.index}", row.sent.value if row.sent else None
        there = [one for one in seen if one["label"] == label]
        if len(there) != 1:
            found.append(f"{label} ({row.error or row.status}) arrived {len(there)} times, expected once")
        elif there[0]["value"] is None or there[0]["value"] != sent:
            found.append(f"{label}: sent JSON {sent}, arrived {there[0]['value']}")
    return found


def buffering_findings(rows: Sequence[RequestRow], tokens: int, inter_token: float) -> list[str]:
    """Streams whose first text did not come well before their last: at least half the time that generation took.

    Args:
        rows: of a load with streamed answers.
        tokens: of each answer.
        inter_token: s between two of them.
    """
    good = answered(rows)
    if len(good) < len(rows) or not rows:
        return [f"expected {len(rows)} complete streams, seen {len(good)}: {shown(rows)}"]
    least = 0.5 * inter_token * (tokens - 1)
    late = [row for row in good if row.first_ns is None or ((row.last_ns or 0) - row.first_ns) / 1e9 < least]
    if not late:
        return []
    return [f"expected {least:.2f} s from first to last text, shorter in {len(late)}: {shown(late)}"]


# --- failures --------------------------------------------------------------------------------------------------------


def refused_findings(
    rows: Sequence[RequestRow], seconds: float, statuses: Collection[int] = range(500, 600)
) -> list[str]:
    """Requests that were not refused by one of `statuses` within `seconds`: served, hanging, or cut off."""
    if not rows:
        return _NONE
    wrong = [row for row in rows if row.status not in statuses or row.took_s > seconds]
    if not wrong:
        return []
    longest = max(row.took_s for row in wrong)
    return [
        f"expected {len(rows)} refusals within {seconds:g} s, otherwise in {len(wrong)} (longest {longest:.1f} s):"
        f" {shown(wrong)}"
    ]


def unasked_findings(rows: Sequence[RequestRow]) -> list[str]:
    """Requests that were not served without the picker (FailOpen): not answered, or with the picker's mark."""
    if not rows:
        return _NONE
    good = {id(row) for row in answered(rows) if not row.asked_picker}
    wrong = [row for row in rows if id(row) not in good]
    if not wrong:
        return []
    return [f"expected {len(rows)} answers without the picker, otherwise in {len(wrong)}: {shown(wrong)}"]


def hang_findings(rows: Sequence[RequestRow]) -> list[str]:
    """Requests that nobody ended but the client's own patience."""
    if not rows:
        return _NONE
    hung = [row for row in rows if row.error == "timeout"]
    if not hung:
        return []
    return [f"{len(hung)} of {len(rows)} requests hung until the client gave up: {shown(hung)}"]


def recovery_seconds(rows: Sequence[RequestRow], since_ns: int) -> float | None:
    """Seconds from `since_ns` to the end of the first complete answer of attempts in a row; None: there is none."""
    good = [row for row in answered(rows) if row.end_ns > since_ns]
    return (good[0].end_ns - since_ns) / 1e9 if good else None


def recovery_findings(rows: Sequence[RequestRow], since_ns: int, seconds: float) -> list[str]:
    """No complete answer within `seconds` after `since_ns` (monotonic)."""
    took = recovery_seconds(rows, since_ns)
    if took is None:
        return [f"expected an answer within {seconds:g} s, there was none in {len(rows)} attempts: {shown(rows[-3:])}"]
    return [f"expected an answer within {seconds:g} s, the first came after {took:.1f} s"] if took > seconds else []


def settled_seconds(rows: Sequence[RequestRow], since_ns: int) -> float | None:
    """Seconds from `since_ns` to the end of the last failure of attempts in a row; None: the last one failed too."""
    good = {id(row) for row in answered(rows)}
    if not rows or id(rows[-1]) not in good:
        return None
    return max([0.0, *((row.end_ns - since_ns) / 1e9 for row in rows if id(row) not in good)])


def settled_findings(rows: Sequence[RequestRow], since_ns: int, seconds: float) -> list[str]:
    """Attempts that still failed later than `seconds` after `since_ns`, or to the end.

    For failures that are a race: the first good answer may be luck.
    """
    took = settled_seconds(rows, since_ns)
    if took is None:
        return [f"expected no failure from {seconds:g} s on, seen them to the end: {shown(rows[-3:])}"]
    return [f"expected no failure from {seconds:g} s on, the last was after {took:.1f} s"] if took > seconds else []


def cut_findings(rows: Sequence[RequestRow], killed_ns: int, seconds: float) -> list[str]:
    """Streams through a replica that was killed at `killed_ns` which were not told so at once, or lost what they had.

    A client must keep the text that it had, and see the stream end in an error within `seconds`: an answer that ends as
    if complete would be taken for one.
    """
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        after = (row.end_ns - killed_ns) / 1e9
        if row.first_ns is None or row.status != 200:
            found.append(f"got nothing of what was generated before the kill: {shown([row])}")
        elif not row.error:
            found.append(f"ended as if it were complete: {shown([row])}")
        elif row.error == "timeout" or after > seconds:
            found.append(f"was told {after:.1f} s after the kill, expected within {seconds:g} s: {shown([row])}")
    return found


def left_findings(
    rows: Sequence[RequestRow], seen: Sequence[Mapping[str, Any]], wave: str, seconds: float
) -> list[str]:  # fmt: skip
    """Streams that the client left, and that the model server did not see left within `seconds`."""
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        if row.error != "left":
            found.append(f"the client was to leave in the middle, but {shown([row])}")
            continue
        there = [one for one in seen if one["label"] == f"{wave}#{row.index}"]
        gone = [one.get("left_ns") for one in there]
        late = [None if one is None else (one - row.end_ns) / 1e9 for one in gone]
        if not late or any(one is None or one > seconds for one in late):
            found.append(f"#{row.index}: left by the client, told to the model server after {late} s (None: never)")
    return found
