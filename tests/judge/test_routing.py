"""Judges of routing: silent on healthy rows, and each lie is told with the rows concerned."""

from __future__ import annotations

import random

import pytest

from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.model.chance import at_least_by_chance, chance_limit, uniformity_p
from gpuassay.systems.llmd.model.montecarlo import Spread
from gpuassay.systems.llmd.rows import RequestRow
from tests.judge.routes import failed, row

SIMS = [f"sim-{i}" for i in range(8)]


def warm_asks(hits: int, asks: int = 16) -> tuple[list[RequestRow], dict[str, str]]:
    """Asks of which the first `hits` went to the replica that was warmed."""
    warmed = {f"p{i:02d}": SIMS[i % 8] for i in range(asks)}
    return [row(i, f"p{i:02d}", SIMS[(i + (i >= hits)) % 8]) for i in range(asks)], warmed


# --- counts ----------------------------------------------------------------------------------------------------------


def test_counts_that_close() -> None:
    """Red when a healthy load is accused."""
    assert routing.count_findings([row(0), failed(1), row(2)], 3) == []
    assert routing.count_findings([row(7), row(8)], 2, first=7) == []


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row(0), row(2)], "3 requests were asked, 1 left no row: 1"),
        ([row(0), row(1), row(1), row(2)], "more than one row: 1"),
        ([row(0), row(1), row(2), row(3)], "never asked: 3"),
        ([row(0), row(1), row(2, status=None)], "neither answered nor failed: #2"),
        ([], "3 left no row: 0, 1, 2"),
    ],
)
def test_counts_that_do_not_close(rows: list[RequestRow], told: str) -> None:
    """Red when a request that was lost, doubled or made up goes unnoticed."""
    assert any(told in finding for finding in routing.count_findings(rows, 3))


def test_failures_are_named() -> None:
    """Red when an answer that was cut off, or none at all, counts as one."""
    assert routing.failure_findings([row(0)]) == []
    assert routing.failure_findings([row(0), failed(1)], allowed=1) == []
    [finding] = routing.failure_findings([row(0), failed(1), row(2, error="truncated")])
    assert "seen 2" in finding
    assert "#1 p00: http-503 by ?" in finding
    assert "#2 p00: truncated" in finding
    assert routing.failure_findings([]) == ["no requests: nothing was asked"]


def test_many_rows_are_counted_not_listed() -> None:
    [finding] = routing.failure_findings([failed(i) for i in range(100)])
    assert "and 90 more" in finding
    assert len(finding) < 1000


def test_every_answer_must_carry_the_pickers_mark() -> None:
    """Red when a gateway that bypasses the picker passes because it answers 200."""
    assert routing.asked_findings([row(0), row(1, headers={"X-Went-Into-Resp-Headers": "true"}), failed(2)]) == []
    [finding] = routing.asked_findings([row(0), row(1, headers={}), row(2, headers={"x-went-into-resp-headers": "no"})])
    assert "missing on 2: #1 p00" in finding
    assert "no answer with status 200" in routing.asked_findings([failed(0)])[0]


# --- placement -------------------------------------------------------------------------------------------------------


def test_a_prompt_that_moves_is_told() -> None:
    """Red when a prompt that was served by two replicas counts as sticky."""
    rows = [row(0, "a", "sim-1"), row(1, "a", "sim-1"), row(2, "b", "sim-2"), failed(3, "a")]
    assert routing.stickiness_findings(rows) == []
    assert routing.replicas_per_prompt(rows) == 1
    moved = [*rows, row(4, "b", "sim-5")]
    [finding] = routing.stickiness_findings(moved)
    assert finding.startswith("b: expected at most 1 replica, seen 2 (sim-2 1x, sim-5 1x): #2 b")
    assert routing.replicas_per_prompt(moved) == 1.5
    assert routing.stickiness_findings(moved, at_most=2) == []


def test_stickiness_of_nothing_is_no_pass() -> None:
    """Red when no answers, or answers that do not say who gave them, count as sticky."""
    assert "cannot be told" in routing.stickiness_findings([failed(0)])[0]
    assert "no replica named" in routing.stickiness_findings([row(0, served_by=None)])[0]
    with pytest.raises(ValueError, match="no answered requests"):
        routing.replicas_per_prompt([])


def test_uniformity() -> None:
    """Red when an even spread is refused, or one by cache, by turns only of some, or with lost answers passes."""
    source = random.Random(3)
    even = [row(i, served_by=source.choice(SIMS)) for i in range(240)]
    assert routing.uniformity_findings(even, SIMS, 240) == []
    [finding] = routing.uniformity_findings([row(i, served_by=SIMS[i % 5]) for i in range(240)], SIMS, 240)
    assert "expected about 30 of 240 requests on each replica, seen sim-0 48" in finding
    assert "sim-7 0" in finding
    assert "seen 239" in routing.uniformity_findings(even[1:], SIMS, 240)[0]
    assert "none of" in routing.uniformity_findings([*even[1:], row(0, served_by="other")], SIMS, 240)[0]
    with pytest.raises(ValueError, match="5 requests for each"):
        routing.uniformity_findings(even[:8], SIMS, 8)


def test_uniformity_rarely_raises_a_false_alarm() -> None:
    """Red when random spreads are refused more often than the limit says: 0 of 400 at 1e-4."""
    for seed in range(400):
        source = random.Random(seed)
        counts = [0] * 8
        for _ in range(64):
            counts[source.randrange(8)] += 1
        assert uniformity_p(counts) >= 1e-4


# --- the decisive test -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "passes"), [(16, True), (15, True), (14, False), (2, False), (0, False)])
def test_a_router_that_knows_must_find_the_warm_replica(hits: int, passes: bool) -> None:
    """Red when a router that misses more than once, or guesses, passes."""
    score = routing.direct_warm(*warm_asks(hits), replicas=8)
    assert (score.hits, score.asks) == (hits, 16)
    findings = routing.direct_warm_findings(score)
    assert (findings == []) is passes
    if not passes:
        assert f"expected at least 15 of 16 requests on the replica warmed directly, seen {hits}" in findings[0]
        assert ("no better than chance" in findings[0]) is (hits <= 8)
        assert "#15 p15: 200 by sim-0" in findings[0] or hits < 6


@pytest.mark.parametrize(("hits", "passes"), [(0, True), (8, True), (9, False), (16, False)])
def test_a_control_must_not_find_it(hits: int, passes: bool) -> None:
    """Red when a control that knows, so that the test leaks, passes."""
    findings = routing.control_findings(routing.direct_warm(*warm_asks(hits), replicas=8))
    assert (findings == []) is passes


def test_a_failed_ask_is_no_hit() -> None:
    """Red when failures shrink the denominator."""
    rows, warmed = warm_asks(16)
    rows[:4] = [failed(i, f"p{i:02d}") for i in range(4)]
    score = routing.direct_warm(rows, warmed, 8)
    assert (score.hits, score.asks) == (12, 16)
    assert "#0 p00: http-503" in routing.direct_warm_findings(score)[0]


def test_too_few_asks_prove_nothing() -> None:
    """Red when one lucky hit on two replicas is taken for knowledge."""
    rows, warmed = warm_asks(3, asks=3)
    [finding] = routing.direct_warm_findings(routing.direct_warm(rows, warmed, 2))
    assert "prove nothing" in finding
    with pytest.raises(ValueError, match="nothing was asked"):
        routing.direct_warm([], {}, 8)
    with pytest.raises(ValueError, match="no replica was warmed with: p00"):
        routing.direct_warm([row(0)], {"other": "sim-0"}, 8)


def test_the_laws_of_chance() -> None:
    """Red when the limit is not the smallest with the promised false alarm: 8 of 16 on 8 replicas at 1e-4."""
    assert chance_limit(16, 8) == 8
    assert at_least_by_chance(9, 16, 8) == pytest.approx(3.3e-5, rel=0.2)
    for asks, replicas in ((16, 8), (48, 8), (24, 2), (5, 1)):
        limit = chance_limit(asks, replicas)
        assert at_least_by_chance(limit + 1, asks, replicas) <= 1e-4
        assert limit == 0 or at_least_by_chance(limit, asks, replicas) > 1e-4
    assert at_least_by_chance(0, 5, 3) == 1
    for wrong in (lambda: at_least_by_chance(-1, 5, 3), lambda: chance_limit(5, 3, 1.0)):
        with pytest.raises(ValueError, match=r"needs counts|false alarm"):
            wrong()


def test_a_random_router_fails_the_decisive_test_and_passes_as_control() -> None:
    """Red when chance passes the test: none of 500 random routers, and all of them are good controls."""
    for seed in range(500):
        source = random.Random(seed)
        _, warmed = warm_asks(16)
        rows = [row(i, label, source.choice(SIMS)) for i, label in enumerate(warmed)]
        score = routing.direct_warm(rows, warmed, 8)
        assert routing.direct_warm_findings(score)
        assert not routing.control_findings(score)


# --- cached tokens ---------------------------------------------------------------------------------------------------


def test_cached_tokens() -> None:
    """Red when a token more or less than the full blocks goes unnoticed, or no answer counts as right."""
    assert routing.cached_findings([row(0), failed(1)], {"p00": 192}) == []
    [finding] = routing.cached_findings([row(0), row(1, cached_tokens=176), row(2, "b")], {"p00": 192})
    assert "expected cached tokens b none at all, p00 192" in finding
    assert "#1 p00: 200 by sim-0, 176/200 cached; #2 b" in finding
    assert "no answered requests" in routing.cached_findings([failed(0)], {"p00": 192})[0]


def test_hit_rate_of_answers() -> None:
    assert routing.cached_hit_rate([row(0), row(1, cached_tokens=0), failed(2)]) == pytest.approx(0.48)
    with pytest.raises(ValueError, match="include_usage"):
        routing.cached_hit_rate([row(0, prompt_tokens=None)])


def test_hit_rate_against_the_model() -> None:
    """Red when a hit rate outside of what the model allows passes."""
    allowed = Spread(0.48, 0.42, 0.56)
    assert routing.hit_rate_findings(0.45, allowed) == []
    assert routing.hit_rate_findings(0.41, allowed, slack=0.02) == []
    assert routing.hit_rate_findings(0.993, allowed) == [
        "hit rate: expected 0.480 [0.420, 0.560] by the model, seen 0.993, which is above it"
    ]
    assert "below" in routing.hit_rate_findings(0.3, allowed, "warm pass")[0]
