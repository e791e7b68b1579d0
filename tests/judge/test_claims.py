"""Judges of what a picker is said to do: each red with doctored answers, and green with sound ones."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge import claims
from gpuassay.systems.llmd.model.chance import seldom_limit
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive

NAMES = ["a", "b", "c", "d"]


def row(index: int = 0, **more: Any) -> RequestRow:
    settled = {
        "wave": "w", "index": index, "label": f"p{index}", "status": 200, "served_by": "a", "prompt_tokens": 9,
        "tokens": 1,
    }  # fmt: skip
    return msgspec.convert(settled | more, RequestRow)


def finished(**counts: float) -> Samples:
    return Samples(
        {"source": name, "name": "vllm:request_success_total", "labels": {}, "value": count, "at": 1}
        for name, count in counts.items()
    )


def test_answers_that_name_their_server_are_believed_and_else_the_counters_are() -> None:
    """Red when who served is taken from counters that others move, or is unknown where counters tell it."""
    assert claims.placed([row(0), row(1, served_by="b")], finished(a=0), finished(a=9)) == Counter(a=1, b=1)
    mute = [row(index, served_by=None) for index in range(3)]
    assert claims.placed(mute, finished(a=1, b=5), finished(a=2, b=7)) == Counter(a=1, b=2)
    with pytest.raises(Inconclusive, match="have finished 5 requests, 3 were ours: somebody else asks as well"):
        claims.placed(mute, finished(a=1, b=5), finished(a=4, b=7))


def test_a_pile_is_seen_and_chance_is_not_accused() -> None:
    """Red when all requests on one server pass, or an even random choice fails."""
    assert claims.hot_findings({"a": 48}, NAMES) == [
        "a got 48 of 48 requests, an even choice gives any of 4 at most 25: a 48, b 0, c 0, d 0"
    ]
    dice = random.Random(1)
    for _ in range(200):
        assert not claims.hot_findings(Counter(dice.choices(NAMES, k=48)), NAMES)
    assert "none of the pool's a, b, c, d: z" in claims.hot_findings({"a": 1, "z": 1}, NAMES)[0]
    assert claims.hot_findings({}, NAMES)


def test_a_busy_server_that_gets_its_share_is_seen() -> None:
    """Red when a picker that guesses passes for one that looks at load, or too few requests decide anything."""
    assert not claims.idle_findings(Counter(a=15, b=15, c=15, d=3), "d", 4)
    assert "d, the only busy one of 4, got 4 of 48 requests" in claims.idle_findings(Counter(a=44, d=4), "d", 4)[0]
    with pytest.raises(ValueError, match="8 requests to 4 model servers are too few"):
        claims.idle_findings(Counter(a=8), "d", 4)


def test_the_limit_of_seldom_is_the_lower_tail() -> None:
    """Red when the limit lets a random choice pass more often than one time in a thousand."""
    assert (seldom_limit(48, 4), seldom_limit(96, 8), seldom_limit(24, 4)) == (3, 2, -1)
    dice = random.Random(2)
    lucky = sum(sum(dice.random() < 1 / 4 for _ in range(48)) <= 3 for _ in range(20_000))
    assert lucky < 40


def test_prompts_that_are_tied_are_seen() -> None:
    """Red when a picker that remembers passes for one that does not, or chance is accused."""
    tied = [row(index, label=f"p{index % 8}", served_by=NAMES[index % 4]) for index in range(32)]
    assert "24 of 24 repeated prompts went where they had gone just before" in claims.scatter_findings(tied, 4)[0]
    dice = random.Random(3)
    for _ in range(100):
        free = [row(index, label=f"p{index % 8}", served_by=dice.choice(NAMES)) for index in range(32)]
        assert not claims.scatter_findings(free, 4)
    assert claims.scatter_findings([row(0)], 4) == [
        "no prompt was answered twice: whether prompts stick cannot be told"
    ]
    with pytest.raises(LookupError, match="cannot be told from outside"):
        claims.scatter_findings([row(0, untold="no counters")], 4)


@pytest.mark.parametrize(
    ("doctored", "words"),
    [
        ({"prompt_tokens": None}, "1 of 2 answers do not tell their usage"),
        ({"tokens": None}, "1 of 2 answers do not tell their usage"),
        ({"tokens_from": "events"}, "1 of 2 answers do not tell their usage"),
        ({"tokens": 7}, "1 answers tell more than 1 tokens"),
    ],
)
def test_usage_that_is_missing_or_too_much_is_seen(doctored: dict[str, Any], words: str) -> None:
    """Red when an answer without usage passes."""
    assert not claims.usage_findings([row(0), row(1)], 1)
    assert words in claims.usage_findings([row(0), row(1, **doctored)], 1)[0]
    assert "no answered requests" in claims.usage_findings([row(status=500)], 1)[0]


def test_a_client_that_steers_is_seen() -> None:
    """Red when requests that go where their header says pass, a refusal counts as steered, or chance is accused."""
    named = {f"p{index}": NAMES[index % 4] for index in range(24)}
    steered = [row(index, served_by=named[f"p{index}"]) for index in range(24)]
    assert (
        "24 of 24 requests went to the model server that their own header x-y names"
        in claims.steered_findings(steered, named, 4, "x-y")[0]
    )
    assert not claims.steered_findings([row(index) for index in range(24)], named, 4, "x-y")
    refused = [row(index, status=403, error="http-403") for index in range(24)]
    assert not claims.steered_findings(refused, named, 4, "x-y") + claims.refused_or_answered(refused)
    lost = [row(0, status=503, error="http-503")]
    assert "1 of 1 requests were neither answered nor refused" in claims.refused_or_answered(lost)[0]
    assert claims.steered_findings(lost, named, 4, "x-y") and claims.refused_or_answered([])


def test_a_cache_that_is_shared_between_salts_is_seen() -> None:
    """Red when another tenant's cached tokens pass, or servers that never tell of any count as isolated."""
    same, alone = [row(0, cached_tokens=8)], [row(0, cached_tokens=0)]
    assert not claims.shared_cache_findings(same, alone)
    assert "1 of 1 prompts found what another salt has cached" in claims.shared_cache_findings(same, same)[0]
    with pytest.raises(Inconclusive, match="no answer tells cached tokens"):
        claims.shared_cache_findings(alone, alone)


def test_a_session_that_wanders_is_seen() -> None:
    """Red when requests of one session are served in several places, or all elsewhere than its first."""
    assert not claims.session_findings([row(0), row(1)], "a") + claims.session_findings([row(0)], "")
    assert claims.session_findings([row(0), row(1)], "b") and claims.session_findings(
        [row(0, served_by="c"), row(1)], ""
    )
