"""The staircase of rates in the model: what is asked when, what is carried, and what queues do."""

from __future__ import annotations

import pytest

from gpuassay.systems.llmd.model.closed import longest_prefix_hits
from gpuassay.systems.llmd.model.policies import PRECISE, RANDOM, ROUND_ROBIN
from gpuassay.systems.llmd.model.prefix_cache import CacheShape
from gpuassay.systems.llmd.model.saturation import Carried, Staircase, carried, predict
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, Run, distinct_traffic

TRAFFIC = distinct_traffic([160] * 8, [range(8)], 16)
PLATFORM = Platform(2, CacheShape(40, 16), LatencyLaw(0.02, 0.001, max_num_seqs=1))
"""Two replicas that serve one request at a time: 20 ms cached, 180 ms uncached; both together hold all prompts."""


def nothing(_: Run) -> None:
    """Caches stay empty."""


def even(run: Run) -> None:
    """Every second prompt on every second replica."""
    run.hold({place: place % 2 for place in range(8)})


def test_arrivals_are_those_of_the_steps_and_of_the_seed() -> None:
    """Red when a step is not of its rate, or a live run and the model would see other arrivals or prompts."""
    stairs = Staircase(((10, 2000), (40, 2000)), seed=1)
    due, order = stairs.due, stairs.order(8)
    assert (due, order) == (stairs.due, stairs.order(8))
    assert due != Staircase(stairs.steps, seed=2).due
    assert due[1999] == pytest.approx(200, rel=0.1)
    assert due[-1] - due[1999] == pytest.approx(50, rel=0.1)
    assert due == sorted(due)
    assert all(order.count(prompt) == pytest.approx(500, rel=0.2) for prompt in range(8))
    assert list(map(len, stairs.split(due))) == [2000, 2000]


@pytest.mark.parametrize(
    ("p95", "wanted"),
    [
        ([1.0, 2.0, 3.0], Carried(8, 12)),
        ([1.0, 1.0, 2.0], Carried(12, None)),
        ([2.1, 1.0, 1.0], Carried(0.0, 4)),
        ([1.0, float("nan"), 1.0], Carried(4, 8)),
        ([1.0, float("inf"), 1.0], Carried(4, 8)),
    ],
)
def test_the_last_rate_before_the_first_beyond_the_bound_is_carried(p95: list[float], wanted: Carried) -> None:
    """Red when a rate above a failed one counts, or a request that was never answered is no failure."""
    assert carried([4, 8, 12], p95, 2.0) == wanted


def test_an_open_loop_queues_where_a_closed_one_waits() -> None:
    """Red when asks are held back until answers come: ten at once on one server wait for each other."""
    one = Platform(1, CacheShape(80, 16), LatencyLaw(0.02, 0.001, max_num_seqs=1))
    run = Run(TRAFFIC, one, ROUND_ROBIN, seed=0)
    run.hold({0: 0})
    found = sorted(run.play_open([0] * 10, [0.0] * 10).done, key=lambda one: one.ttft)
    assert [round(one.ttft, 3) for one in found] == [round(0.02 * (i + 1), 3) for i in range(10)]


def test_a_queue_in_the_model_is_that_of_the_textbook() -> None:
    """Red when waiting is wrong: in M/D/1 one waits u s / (2 (1 - u)) on average, at load u and service time s."""
    one = Platform(1, CacheShape(80, 16), LatencyLaw(0.02, 0.001, max_num_seqs=1))
    stairs = Staircase(((35, 20_000),), seed=3)  # 20 ms at 35/s: a load of 0.7
    run = Run(TRAFFIC, one, ROUND_ROBIN, seed=0)
    run.hold({0: 0})
    done = run.play_open([0] * stairs.requests, stairs.due).done
    waited = sum(each.ttft - 0.02 for each in done) / len(done)
    assert waited == pytest.approx(0.7 * 0.02 / (2 * 0.3), rel=0.1)


def test_a_router_that_knows_the_caches_carries_more() -> None:
    """Red when the prediction does not tell policies apart."""
    stairs = Staircase(((4, 60), (8, 80), (16, 120), (32, 200)), seed=2)
    knowing = predict(TRAFFIC, PLATFORM, PRECISE, stairs, 0.4, warm=even, runs=3)
    blind = predict(TRAFFIC, PLATFORM, RANDOM, stairs, 0.4, warm=nothing, runs=20)
    assert knowing.within.low == 32
    assert blind.within.high <= 16
    assert knowing.p95[0].mean < blind.p95[0].mean
    slow = predict(TRAFFIC, PLATFORM, PRECISE, stairs, 0.4, warm=even, runs=3, path=1.0)
    assert slow.within.high == 0


def test_the_longest_prefix_asked_before_hits() -> None:
    """Red when blocks of different chains are added up, or a chain's own first ask hits."""
    assert longest_prefix_hits([(1, 2, 3), (1, 2, 4), (1, 2, 4, 5), (9,)], 16) == (0 + 2 + 3 + 0) * 16
    assert longest_prefix_hits([(1, 2), (2, 1)], 16) == 0


def test_nonsense_is_refused() -> None:
    for steps in ((), ((0.0, 5),), ((4.0, 0),), ((4.0, 5), (4.0, 5))):
        with pytest.raises(ValueError, match="rising rates above 0"):
            Staircase(steps)
    with pytest.raises(ValueError, match="has not 3 values"):
        Staircase(((4, 5),)).split([1, 2, 3])
    with pytest.raises(ValueError, match="no steps"):
        carried([], [], 1)
    with pytest.raises(ValueError, match="at least one simulation"):
        predict(TRAFFIC, PLATFORM, RANDOM, Staircase(((4, 5),)), 1, warm=nothing, runs=0)
