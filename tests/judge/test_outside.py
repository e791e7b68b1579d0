"""Judges of a gateway seen from outside refuse what is doctored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.outside import counted_hit_rate, hit_rate, parents, pool_findings, stream_findings
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive

MS = 1_000_000


def counters(queries: float, hits: float, suffix: str = "_total") -> Samples:
    return Samples(
        [
            {"source": "pod-a", "name": f"vllm:prefix_cache_{name}{suffix}", "labels": {}, "value": value}
            for name, value in (("queries", queries), ("hits", hits))
        ]
    )


def row(**more: Any) -> RequestRow:
    settled = {
        "wave": "w",
        "index": 0,
        "label": "p",
        "status": 200,
        "error": "",
        "served_by": "pod-a",
        "prompt_tokens": 100,
    }
    stream = {"first_ns": 1, "last_ns": 1 + 9 * MS, "gaps_ns": [MS] * 9, "tokens": 10}
    return msgspec.convert(settled | stream | more, RequestRow)


@pytest.mark.parametrize("suffix", ["_total", ""])
def test_hits_are_counted_in_both_generations_of_names(suffix: str) -> None:
    """Red when counters of one generation are not found, or are taken as they stand instead of their growth."""
    assert counted_hit_rate([row()] * 4, counters(1000, 900, suffix), counters(1400, 1200, suffix)) == 0.75


def test_somebody_else_asking_too_is_inconclusive() -> None:
    """Red when other people's traffic decides the verdict."""
    with pytest.raises(Inconclusive, match="500 prompt tokens were looked up, 400 were ours"):
        counted_hit_rate([row()] * 4, counters(0, 0), counters(500, 300))
    with pytest.raises(ValueError, match="no answer says"):
        counted_hit_rate([row(prompt_tokens=None)], counters(0, 0), counters(1, 1))


@pytest.mark.parametrize(
    "held",
    [
        {"gaps_ns": [0] * 9, "last_ns": 1},
        {"gaps_ns": [0] * 8 + [MS]},
        {"first_ns": None, "last_ns": None, "gaps_ns": []},
        {"tokens": 1, "gaps_ns": []},
        {"error": "truncated"},
    ],
)
def test_a_stream_that_comes_in_one_piece_is_found(held: dict[str, Any]) -> None:
    """Red when a gateway that holds answers back passes for one that streams."""
    assert not stream_findings([row()])
    assert stream_findings([row(), row(**held)])


def test_no_streams_prove_nothing() -> None:
    """Red when an empty wave passes."""
    assert stream_findings([])


def parent(**status: str) -> Manifest:
    said = [{"type": kind, "status": value, "reason": "R", "message": "why"} for kind, value in status.items()]
    return {"parentRef": {"name": "front"}, "conditions": said}


def test_a_pool_that_a_controller_does_not_accept_is_found() -> None:
    """Red when a condition that is False or missing passes."""
    good = parent(Accepted="True", ResolvedRefs="True")
    assert not pool_findings({"status": {"parents": [good]}})
    assert pool_findings({"status": {"parents": [good, parent(Accepted="True", ResolvedRefs="False")]}}) == [
        "parent front: ResolvedRefs is False, R: why"
    ]
    assert pool_findings({"status": {"parents": [parent(Accepted="True")]}}) == [
        "parent front: ResolvedRefs is not there"
    ]


def test_a_status_that_nobody_has_written_is_none() -> None:
    """Red when the API's default is taken for a controller's word."""
    pending = {
        "parentRef": {"name": "default"},
        "conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Pending"}],
    }
    assert not parents({"status": {"parents": [pending]}}) and not parents({})


def test_answers_tell_the_hits_where_counters_cannot() -> None:
    """Red when others' traffic makes a hit rate unknown although answers tell it, or it is guessed from none."""
    told = [row(cached_tokens=80), row(cached_tokens=0)]
    assert hit_rate(told, counters(0, 0), counters(200, 80)) == (0.4, "counters")
    assert hit_rate(told, counters(0, 0), counters(500, 300)) == (0.4, "answers")
    assert hit_rate(told, Samples([]), Samples([])) == (0.4, "answers")
    with pytest.raises(Inconclusive, match="somebody else asks as well"):
        hit_rate([row(cached_tokens=0)], counters(0, 0), counters(500, 300))
