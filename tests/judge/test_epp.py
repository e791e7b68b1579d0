"""The protocol's judges, on answers of pickers that break it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gpuassay.systems.llmd.judge import epp
from gpuassay.systems.llmd.rows import PickerCall

MEMBERS = ["127.0.0.1:1", "127.0.0.2:2"]

RESPONSE = {"sent": ["1", "2"], "returned": ["1", "2"], "sent_whole": "12", "returned_whole": "12", "ended": ""}


def row(index: int = 0, **more: Any) -> PickerCall:
    """A request that was picked for and handed on whole."""
    return msgspec.convert({
        "wave": "w", "index": index, "destination": MEMBERS[0], "metadata_destination": MEMBERS[0],
        "clear_route_cache": True, "sent": "aa", "returned": "aa", "largest_chunk": 62_000, "response": dict(RESPONSE),
    } | more, PickerCall)  # fmt: skip


REFUSED = row(status=503, destination=None, metadata_destination=None, returned=None, detail="none")
HUNG = row(destination=None, metadata_destination=None, returned=None, ended="DEADLINE_EXCEEDED")


JUDGES: dict[str, Callable[[list[PickerCall]], list[str]]] = {
    "picked": epp.picked_findings,
    "agreement": epp.agreement_findings,
    "membership": lambda rows: epp.membership_findings(rows, MEMBERS),
    "route cache": epp.route_cache_findings,
    "body": epp.body_findings,
    "chunks": lambda rows: epp.chunk_findings(rows, 64 * 1024),
    "by chunk": lambda rows: epp.response_findings(rows, by_chunk=True),
    "whole": lambda rows: epp.response_findings(rows, by_chunk=False),
}


@pytest.mark.parametrize("name", JUDGES)
def test_a_good_picker_passes_and_nothing_asked_does_not(name: str) -> None:
    """Red when a judge blames a picker that is right, or is content with no requests at all."""
    assert JUDGES[name]([row(), row(1)]) == []
    assert JUDGES[name]([]) != []


@pytest.mark.parametrize("name", list(JUDGES)[:6])
@pytest.mark.parametrize("bad", [REFUSED, HUNG], ids=["refused", "hung"])
def test_no_answer_is_no_good_answer(name: str, bad: PickerCall) -> None:
    """Red when a refusal or a hanging stream passes as a choice; what the picker said is shown."""
    found = JUDGES[name]([row(), bad])
    assert found
    assert ("refused with 503 (none)" in found[0]) != ("DEADLINE_EXCEEDED" in found[0])


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("agreement", {"metadata_destination": None}, "metadata say [None]"),
        ("agreement", {"metadata_destination": MEMBERS[1]}, "metadata say ['127.0.0.2:2']"),
        ("membership", {"destination": "127.0.0.1:2"}, "127.0.0.1:2"),
        ("route cache", {"clear_route_cache": False}, "clear_route_cache"),
        ("body", {"returned": "ab"}, "with the same meaning"),
        ("chunks", {"largest_chunk": 70_000}, "largest: 70000"),
    ],
)
def test_each_breach_is_found(name: str, wrong: dict[str, Any], said: str) -> None:
    """Red when one wrong answer among right ones is overlooked."""
    found = JUDGES[name]([row(), row(1, **wrong), row(2)])
    assert said in found[0]
    assert "1 of 3" in found[0]
    assert "#1" in found[0]


def test_hints() -> None:
    """Red when a choice outside the gateway's list passes, or an address with another port."""
    assert epp.hint_findings([row(hint=MEMBERS)]) == []
    assert epp.hint_findings([row(hint=[MEMBERS[1]])])
    assert epp.hint_findings([row(hint=["127.0.0.1:9"])])
    assert epp.hint_findings([])


def test_refusals() -> None:
    """Red when a choice, a hang or another status passes as the refusal that is asked for."""
    assert epp.refused_findings([REFUSED], 503) == []
    for bad in (row(), HUNG, row(status=500)):
        assert epp.refused_findings([REFUSED, bad], 503)
    assert epp.refused_findings([], 503)


def test_same_pick() -> None:
    """Red when one choice of many differs, when a request was refused, or when there is nothing to compare."""
    assert epp.same_pick_findings([row(n) for n in range(5)]) == []
    other = row(3, destination=MEMBERS[1])
    assert "1 of 3 were not so: #3" in epp.same_pick_findings([row(), row(1), other])[0]
    assert epp.same_pick_findings([row(), row(1), REFUSED])
    assert epp.same_pick_findings([row()])
    assert epp.same_pick_findings([row(), row(1)], least=3)


@pytest.mark.parametrize(
    ("back", "by_chunk", "whole"),
    [
        ({"returned": ["2", "1"], "returned_whole": "21"}, True, True),
        ({"returned": ["12"]}, True, False),
        ({"returned": ["1"], "returned_whole": "1", "ended": "DEADLINE_EXCEEDED"}, True, True),
        ({"ended": "UNAVAILABLE"}, True, True),
    ],
    ids=["reordered", "merged", "held back", "cut"],
)
def test_responses(back: dict[str, Any], by_chunk: bool, whole: bool) -> None:
    """Red when chunks that are reordered, lost or cut pass; merging is wrong only where chunks count."""
    rows = [row(), row(1, response=RESPONSE | back)]
    assert bool(epp.response_findings(rows, by_chunk=True)) == by_chunk
    assert bool(epp.response_findings(rows, by_chunk=False)) == whole


def test_a_response_that_was_never_sent_is_no_response() -> None:
    """Red when a request that was refused counts as a response that came back."""
    assert epp.response_findings([row(), row(1, response=None)], by_chunk=False)


def test_changes() -> None:
    """Red when a change that is seen late, or never, passes."""
    change = {"what": "deleted", "endpoint": MEMBERS[0], "expected": "out", "seconds": 0.2}
    assert epp.change_findings([change], 1.0) == []
    assert epp.change_findings([change | {"seconds": 1.3}], 1.0) == [
        "deleted: 127.0.0.1:1 should be out of the picker's choices within 1 s, was only after 1.30 s"
    ]
    assert "was not" in epp.change_findings([change | {"seconds": None}], 1.0)[0]
    assert epp.change_findings([], 1.0)


def test_long_lists_are_cut() -> None:
    """Red when a sentence names hundreds of requests."""
    assert "; and 94 more" in epp.refused_findings([row(n) for n in range(100)], 400)[0]
