"""The endpoint picker protocol, judged on what a picker answered to requests without a gateway in between.

Judges return what is wrong, as sentences, or nothing; no calls at all are wrong, too. Source: Gateway API Inference
Extension, proposal 004, endpoint picker protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuassay.systems.llmd.rows import PickerCall, Returned

SHOWN = 6
"""Rows that a sentence names; the others are counted."""


def told(row: PickerCall) -> str:
    """What a picker answered, in words."""
    name = f"#{row.index} {row.label}".strip()
    if row.ended:
        return f"{name}: the stream ended with {row.ended} ({row.detail})"
    if row.status is not None:
        return f"{name}: refused with {row.status} ({row.detail})"
    return f"{name}: {row.destination}"


def shown(rows: Sequence[PickerCall]) -> str:
    """Rows in a sentence."""
    more = f"; and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return "; ".join(map(told, rows[:SHOWN])) + more


def _wrong(rows: Sequence[PickerCall], bad: Sequence[PickerCall], expected: str) -> list[str]:
    if not rows:
        return [f"no requests: whether {expected} cannot be told"]
    return [f"expected {expected}; {len(bad)} of {len(rows)} were not so: {shown(bad)}"] if bad else []


def picked_findings(rows: Sequence[PickerCall]) -> list[str]:
    """Requests for which nothing was picked."""
    return _wrong(rows, [row for row in rows if not row.picked], "an endpoint to be picked for every request")


def agreement_findings(rows: Sequence[PickerCall]) -> list[str]:
    """Choices that header and dynamic metadata do not name alike; gateways read the one or the other."""
    bad = [row for row in rows if not row.picked or row.destination != row.metadata_destination]
    found = _wrong(rows, bad, "header and metadata to name one endpoint")
    return [f"{found[0]}; metadata say {[row.metadata_destination for row in bad[:SHOWN]]}"] if bad else found


def membership_findings(rows: Sequence[PickerCall], members: Collection[str]) -> list[str]:
    """Choices of endpoints (`address:port`) that are not in the pool."""
    bad = [row for row in rows if not row.picked or row.destination not in members]
    return _wrong(rows, bad, f"endpoints of the pool ({', '.join(sorted(members))})")


def hint_findings(rows: Sequence[PickerCall]) -> list[str]:
    """Choices that are not on the list of endpoints that the gateway allowed for the request."""
    bad = [row for row in rows if not row.picked or row.destination not in (row.hint or ())]
    return _wrong(rows, bad, "an endpoint of the gateway's list")


def route_cache_findings(rows: Sequence[PickerCall]) -> list[str]:
    """Choices after which the gateway is not told to choose its route anew, so that the header has no effect on it."""
    bad = [row for row in rows if not row.picked or not row.clear_route_cache]
    return _wrong(rows, bad, "clear_route_cache with every choice")


def refused_findings(rows: Sequence[PickerCall], status: int) -> list[str]:
    """Requests that were not refused by an immediate response of HTTP `status`."""
    return _wrong(rows, [row for row in rows if row.status != status], f"a refusal with {status}")


def same_pick_findings(rows: Sequence[PickerCall], least: int = 2) -> list[str]:
    """Requests that must be treated alike and were not all sent to one endpoint; fewer than `least` rows are red."""
    if len(rows) < least:
        return [f"{len(rows)} requests cannot show that the choice is the same"]
    if found := picked_findings(rows):
        return found
    places = Counter(str(row.destination) for row in rows)
    if len(places) == 1:
        return []
    usual = places.most_common(1)[0][0]
    return _wrong(rows, [row for row in rows if row.destination != usual], f"the same choice ({usual}) for all")


def body_findings(rows: Sequence[PickerCall]) -> list[str]:
    """Requests whose body was handed on with another meaning (JSON with exact numbers), or not at all."""
    bad = [row for row in rows if not row.picked or row.returned != row.sent]
    return _wrong(rows, bad, "the body to be handed on with the same meaning")


def chunk_findings(rows: Sequence[PickerCall], limit: int) -> list[str]:
    """Requests of which a chunk of more than `limit` bytes was handed on."""
    bad = [row for row in rows if not row.picked or not 0 < row.largest_chunk <= limit]
    found = _wrong(rows, bad, f"chunks of at most {limit} bytes")
    return [f"{found[0]}; largest: {max(row.largest_chunk for row in bad)}"] if bad else found


def response_findings(rows: Sequence[PickerCall], *, by_chunk: bool) -> list[str]:
    """Responses that did not come back byte for byte; with `by_chunk` also in the same chunks, in their order.

    One whose request was refused has not come back at all.
    """
    bad = [row for row in rows if not row.picked or _changed(row.response, by_chunk=by_chunk)]
    if not bad:
        return _wrong(rows, bad, "responses to come back")
    what = "the same chunks in their order" if by_chunk else "the same bytes"
    first = bad[0].response
    sent, back = _passed(first, by_chunk=by_chunk) if first else (None, None)
    return [
        f"expected responses to come back as {what}; {len(bad)} of {len(rows)} did not: {shown(bad)};"
        f" first: sent {sent}, back {back}, stream {(first and first.ended) or 'whole'}"
    ]


def _passed(response: Returned, *, by_chunk: bool) -> tuple[object, object]:
    """Digests of what was sent and of what came back."""
    if by_chunk:
        return response.sent, response.returned
    return response.sent_whole, response.returned_whole


def _changed(response: Returned | None, *, by_chunk: bool) -> bool:
    if response is None or response.ended:
        return True
    sent, back = _passed(response, by_chunk=by_chunk)
    return sent != back


def change_findings(changes: Sequence[Mapping[str, Any]], limit: float) -> list[str]:
    """Changes of a pool that the picker's choices did not follow within `limit` seconds.

    Args:
        changes: one mapping per change: `what`, `endpoint`, `expected` ("in" or "out"), `seconds` (None: not seen at
            all in the time given).
        limit: seconds.
    """
    if not changes:
        return ["no changes: whether the picker follows cannot be told"]
    late = [one for one in changes if one["seconds"] is None or float(one["seconds"]) > limit]
    return [
        f"{one['what']}: {one['endpoint']} should be {one['expected']} of the picker's choices within {limit:g} s, "
        + ("was not" if one["seconds"] is None else f"was only after {float(one['seconds']):.2f} s")
        for one in late
    ]
