"""Gateways in front of an endpoint picker: what became of a request, who served it, and what happened to its bytes.

Judges are functions of request rows (see `gpuassay.systems.llmd.judge.routing`) that also have `method`, `body`
(digest of the answer), `sent` (digest and canonical JSON of what was asked) and `chunk_ns` (receipt of every chunk,
monotonic ns). They return what is wrong, as sentences, or nothing. An empty wave is wrong too: it would prove
anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuassay.systems.llmd.judge.routing import ASKED_HEADER, Row, answered, shown
from gpuassay.systems.llmd.objects import headers

SERVED_HEADER, DESTINATION_HEADER = headers.SERVED, headers.DESTINATION

_NONE = ["no requests: nothing was asked"]


def took_seconds(row: Row) -> float:
    """From the start of a request to its end or failure, s."""
    return (int(row["end_ns"]) - int(row["start_ns"])) / 1e9


# --- who served ------------------------------------------------------------------------------------------------------


def served_findings(rows: Sequence[Row], allowed: Collection[str] | None = None) -> list[str]:
    """Requests that were not answered, or not by one of `allowed` (names of replicas); by their label without it."""
    if not rows:
        return _NONE
    good = {id(row) for row in answered(rows)}
    wrong = [
        row
        for row in rows
        if id(row) not in good or row.get("served_by") not in (allowed if allowed is not None else [row["label"]])
    ]
    if not wrong:
        return []
    wanted = "the replica of its label" if allowed is None else " or ".join(sorted(allowed))
    return [f"expected {len(rows)} answers by {wanted}, seen {len(wrong)} otherwise: {shown(wrong)}"]


def strayed_findings(rows: Sequence[Row], forbidden: str) -> list[str]:
    """Requests that `forbidden` served, which it must not; or that nobody asked anything."""
    if not rows:
        return _NONE
    strayed = [row for row in rows if row.get("served_by") == forbidden]
    return [f"{forbidden} served {len(strayed)} of {len(rows)} requests: {shown(strayed)}"] if strayed else []


def reported_findings(rows: Sequence[Row], endpoints: Mapping[str, str]) -> list[str]:
    """Answers whose served endpoint, as the gateway told the picker, is not that of the replica that served.

    Args:
        rows: answers that carry `SERVED_HEADER`.
        endpoints: `address:port` by name of the replica.
    """
    good = answered(rows)
    if not good:
        return [f"no answered requests: nothing was reported; {shown(rows)}"]
    wrong = [row for row in good if row["headers"].get(SERVED_HEADER) != endpoints.get(str(row["served_by"]))]
    told = "; ".join(
        f"#{row['index']} served by {row['served_by']} ({endpoints.get(str(row['served_by']))}),"
        f" reported {row['headers'].get(SERVED_HEADER)!r}"
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
    lists = [[one.strip() for one in str(row["headers"].get(DESTINATION_HEADER, "")).split(",")] for row in seen]
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


def bytes_findings(rows: Sequence[Row], expected: Mapping[str, tuple[int, str]]) -> list[str]:
    """Answers whose status or bytes are not what the model server sent (status and digest by label)."""
    if missing := sorted(set(expected) - {str(row["label"]) for row in rows}):
        return [f"nothing was asked for {', '.join(missing)}"]
    return [
        f"{row['label']}: the model server sent status {expected[row['label']][0]} and {expected[row['label']][1]},"
        f" the client got {row['status']} and {row['body']} ({row.get('error') or 'complete'})"
        for row in rows
        if (row["status"], row["body"]) != expected[str(row["label"])]
    ]


def arrived_findings(wave: str, rows: Sequence[Row], seen: Sequence[Mapping[str, Any]]) -> list[str]:
    """Requests that did not arrive exactly once, or whose JSON is not the one that was sent."""
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        label = f"{wave}#{row['index']}"
        there = [one for one in seen if one["label"] == label]
        if len(there) != 1:
            found.append(f"{label} ({row.get('error') or row.get('status')}) arrived {len(there)} times, expected once")
        elif there[0]["value"] is None or there[0]["value"] != row["sent"]["value"]:
            found.append(f"{label}: sent JSON {row['sent']['value']}, arrived {there[0]['value']}")
    return found


def buffering_findings(rows: Sequence[Row], tokens: int, inter_token: float) -> list[str]:
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
    late = [row for row in good if (int(row["last_ns"]) - int(row["first_ns"] or row["last_ns"])) / 1e9 < least]
    if not late:
        return []
    return [f"expected {least:.2f} s from first to last text, shorter in {len(late)}: {shown(late)}"]


# --- failures --------------------------------------------------------------------------------------------------------


def refused_findings(rows: Sequence[Row], seconds: float, statuses: Collection[int] = range(500, 600)) -> list[str]:
    """Requests that were not refused by one of `statuses` within `seconds`: served, hanging, or cut off."""
    if not rows:
        return _NONE
    wrong = [row for row in rows if row.get("status") not in statuses or took_seconds(row) > seconds]
    if not wrong:
        return []
    longest = max(map(took_seconds, wrong))
    return [
        f"expected {len(rows)} refusals within {seconds:g} s, otherwise in {len(wrong)} (longest {longest:.1f} s):"
        f" {shown(wrong)}"
    ]


def unasked_findings(rows: Sequence[Row]) -> list[str]:
    """Requests that were not served without the picker (FailOpen): not answered, or with the picker's mark."""
    if not rows:
        return _NONE
    good = {id(row) for row in answered(rows) if row["headers"].get(ASKED_HEADER) != "true"}
    wrong = [row for row in rows if id(row) not in good]
    if not wrong:
        return []
    return [f"expected {len(rows)} answers without the picker, otherwise in {len(wrong)}: {shown(wrong)}"]


def hang_findings(rows: Sequence[Row]) -> list[str]:
    """Requests that nobody ended but the client's own patience."""
    if not rows:
        return _NONE
    hung = [row for row in rows if row.get("error") == "timeout"]
    if not hung:
        return []
    return [f"{len(hung)} of {len(rows)} requests hung until the client gave up: {shown(hung)}"]


def recovery_seconds(rows: Sequence[Row], since_ns: int) -> float | None:
    """Seconds from `since_ns` to the end of the first complete answer of attempts in a row; None: there is none."""
    good = [row for row in answered(rows) if int(row["end_ns"]) > since_ns]
    return (int(good[0]["end_ns"]) - since_ns) / 1e9 if good else None


def recovery_findings(rows: Sequence[Row], since_ns: int, seconds: float) -> list[str]:
    """No complete answer within `seconds` after `since_ns` (monotonic)."""
    took = recovery_seconds(rows, since_ns)
    if took is None:
        return [f"expected an answer within {seconds:g} s, there was none in {len(rows)} attempts: {shown(rows[-3:])}"]
    return [f"expected an answer within {seconds:g} s, the first came after {took:.1f} s"] if took > seconds else []


def settled_seconds(rows: Sequence[Row], since_ns: int) -> float | None:
    """Seconds from `since_ns` to the end of the last failure of attempts in a row; None: the last one failed too."""
    good = {id(row) for row in answered(rows)}
    if not rows or id(rows[-1]) not in good:
        return None
    return max([0.0, *((int(row["end_ns"]) - since_ns) / 1e9 for row in rows if id(row) not in good)])


def settled_findings(rows: Sequence[Row], since_ns: int, seconds: float) -> list[str]:
    """Attempts that still failed later than `seconds` after `since_ns`, or to the end.

    For failures that are a race: the first good answer may be luck.
    """
    took = settled_seconds(rows, since_ns)
    if took is None:
        return [f"expected no failure from {seconds:g} s on, seen them to the end: {shown(rows[-3:])}"]
    return [f"expected no failure from {seconds:g} s on, the last was after {took:.1f} s"] if took > seconds else []


def cut_findings(rows: Sequence[Row], killed_ns: int, seconds: float) -> list[str]:
    """Streams through a replica that was killed at `killed_ns` which were not told so at once, or lost what they had.

    A client must keep the text that it had, and see the stream end in an error within `seconds`: an answer that ends as
    if complete would be taken for one.
    """
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        after = (int(row["end_ns"]) - killed_ns) / 1e9
        if row.get("first_ns") is None or row.get("status") != 200:
            found.append(f"got nothing of what was generated before the kill: {shown([row])}")
        elif not row.get("error"):
            found.append(f"ended as if it were complete: {shown([row])}")
        elif row["error"] == "timeout" or after > seconds:
            found.append(f"was told {after:.1f} s after the kill, expected within {seconds:g} s: {shown([row])}")
    return found


def left_findings(
    rows: Sequence[Row], seen: Sequence[Mapping[str, Any]], wave: str, seconds: float
) -> list[str]:  # fmt: skip
    """Streams that the client left, and that the model server did not see left within `seconds`."""
    if not rows:
        return _NONE
    found: list[str] = []
    for row in rows:
        if row.get("error") != "left":
            found.append(f"the client was to leave in the middle, but {shown([row])}")
            continue
        there = [one for one in seen if one["label"] == f"{wave}#{row['index']}"]
        gone = [one.get("left_ns") for one in there]
        late = [None if one is None else (one - int(row["end_ns"])) / 1e9 for one in gone]
        if not late or any(one is None or one > seconds for one in late):
            found.append(f"#{row['index']}: left by the client, told to the model server after {late} s (None: never)")
    return found
