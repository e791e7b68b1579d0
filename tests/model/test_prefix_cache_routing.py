"""The routing model: against closed forms, against what was measured, and against what must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.llmd.model import simulation as routing
from gpuassay.systems.llmd.model.closed import (
    cacheable_share,
    exact_hits,
    precise,
    random_cold,
    random_warm,
    random_warm_bound,
)
from gpuassay.systems.llmd.model.montecarlo import expected, spread
from gpuassay.systems.llmd.model.paper import COLD_MEAN_RATIO_AT_MOST
from gpuassay.systems.llmd.model.policies import APPROXIMATE, LEAST_LOADED, PRECISE, RANDOM, ROUND_ROBIN, Policy
from gpuassay.systems.llmd.model.prefix_cache import CacheShape, Eviction, simulator_cache
from gpuassay.systems.llmd.model.simulation import (
    LatencyLaw,
    Platform,
    Traffic,
    distinct_traffic,
    simulate,
    token_traffic,
)
from gpuassay.systems.llmd.objects.prompts import conversations, paper_prompts, shuffled_order
from gpuassay.systems.llmd.objects.tokens import token_ids

QUIET = settings(derandomize=True, deadline=None, max_examples=40)

SCALED = LatencyLaw(0.060, 0.00092, 0.010, output_tokens=16, max_num_seqs=32, time_factor_under_load=2.0)
FLAT = LatencyLaw(0.010, 0.001)
PLATFORM = Platform(8, CacheShape(896, 16), SCALED)
LENGTHS = [prompt.tokens for prompt in paper_prompts(1, 0.1)]
ALL = [RANDOM, ROUND_ROBIN, LEAST_LOADED, APPROXIMATE, PRECISE]


def _never(*_: object, **__: object) -> bool:
    return False


def two_passes(number: int) -> Traffic:
    """The scaled load: 32 prompts, two passes of 8 shuffled rounds."""
    return distinct_traffic(LENGTHS, [shuffled_order(32, 8, 2 * number + i) for i in range(2)], 16)


# --- closed forms ----------------------------------------------------------------------------------------------------


def test_eight_by_eight() -> None:
    """Red when the closed form of a cold pass is not the textbook one."""
    assert random_cold(8, 8) == pytest.approx((7 / 8) ** 8)
    assert random_cold(1, 8) == pytest.approx(0)
    assert random_cold(5, 1) == pytest.approx(4 / 5)


@pytest.mark.parametrize(("repeats", "replicas"), [(8, 8), (4, 8), (8, 3), (2, 2)])
def test_cold_random_without_eviction(repeats: int, replicas: int) -> None:
    """Red when simulation and closed form part: 200 cold passes, whose mean errs by 0.004 at most (one sigma)."""
    whole = Platform(replicas, CacheShape(10_000, 16), FLAT)
    found = expected(
        lambda n: distinct_traffic([160] * 16, [shuffled_order(16, repeats, n)], 16), whole, RANDOM, runs=200
    )[0]
    assert found.hit_rate.mean == pytest.approx(random_cold(repeats, replicas), abs=0.015)


@QUIET
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20), st.integers(1, 6), st.sampled_from([8, 16, 64]))
def test_exact_counts(lengths: list[int], repeats: int, block: int) -> None:
    """Red when precise routing, or a single replica, hits one token more or less than (n - 1) x full blocks."""
    order = shuffled_order(len(lengths), repeats, 3)
    for replicas, policy in ((4, PRECISE), (1, RANDOM), (4, APPROXIMATE)):
        run = simulate(
            distinct_traffic(lengths, [order, order], block),
            Platform(replicas, simulator_cache(1000, block), FLAT),
            policy,
            concurrency=3,
        )
        if all(length >= block for length in lengths):
            assert run[0].replicas_per_prompt == 1
        assert sum(one.cached_tokens for one in run[0].served) == exact_hits(lengths, repeats, block)
        assert run[0].hit_rate == pytest.approx(precise(lengths, repeats, block))
        assert run[1].hit_rate == pytest.approx(precise(lengths, repeats, block, warm=True))


@pytest.mark.parametrize("capacity", [450, 896, 1400])
def test_warm_random(capacity: int) -> None:
    """Red when the estimate of a long warm pass is off by more than 0.02, or the bound is none."""
    share = cacheable_share(LENGTHS, 16)
    traffic = [distinct_traffic(LENGTHS, [shuffled_order(32, 8, 9 * n + i) for i in range(4)], 16) for n in range(25)]
    live = expected(traffic.__getitem__, Platform(8, CacheShape(capacity, 16), FLAT), RANDOM, runs=25)[-1].hit_rate.mean
    assert random_warm(LENGTHS, capacity, 16, 8) * share == pytest.approx(live, abs=0.02)
    assert live < random_warm_bound(LENGTHS, capacity, 16) * share


def test_closed_forms_of_the_extremes() -> None:
    assert random_warm([160], 10, 16, 4) == pytest.approx(1)
    assert random_warm_bound([160], 99, 16) == 1
    assert random_warm([3], 5, 16, 4) == random_warm_bound([3], 5, 16) == 0
    with pytest.raises(ValueError, match="prompts with tokens"):
        cacheable_share([], 16)
    with pytest.raises(ValueError, match="at least one ask"):
        random_cold(0, 8)


# --- measured on real programs: 32 prompts x 8, 8 simulators, c = 8 --------------------------------------------------


def test_the_model_holds_what_was_measured() -> None:
    """Red when the model's intervals miss hit rates that real simulators behind a real endpoint picker had."""
    cold, warm = expected(two_passes, PLATFORM, RANDOM, concurrency=8, runs=40)
    for seen in (0.307, 0.287, 0.287, 0.292):
        assert cold.hit_rate.holds(seen), cold.hit_rate
    for seen in (0.500, 0.477, 0.449, 0.469):
        assert warm.hit_rate.holds(seen), warm.hit_rate
    for seen in (0.492, 0.526, 0.574):
        assert warm.mean_ttft.holds(seen, slack=0.08), warm.mean_ttft
    cold, warm = expected(two_passes, PLATFORM, PRECISE, concurrency=8, runs=5)
    assert cold.hit_rate.holds(0.869, slack=0.003), cold.hit_rate
    assert warm.hit_rate.holds(0.993, slack=0.003), warm.hit_rate
    assert warm.mean_ttft.mean == pytest.approx(0.0765, abs=0.01)
    assert cold.p99_ttft.mean > 10 * warm.p99_ttft.mean, "a cold pass cannot improve p99"


def test_full_scale_gives_the_papers_ratios_warm_and_cannot_cold() -> None:
    """Red when the fitted full-scale model leaves what an independent simulation gave (mean 6-9 x, p99 13-22 x)."""
    law = LatencyLaw(0.060, 92e-6, 0.012, output_tokens=64, max_num_seqs=64, time_factor_under_load=2.0)
    lengths = [prompt.tokens for prompt in paper_prompts(2)]
    platform = Platform(8, CacheShape(2240, 64), law)
    traffic = [distinct_traffic(lengths, [shuffled_order(32, 8, 2 * n + i) for i in range(2)], 64) for n in range(6)]
    blind = expected(traffic.__getitem__, platform, RANDOM, runs=6)
    knowing = expected(traffic.__getitem__, platform, PRECISE, runs=6)
    assert blind[0].hit_rate.mean == pytest.approx(0.30, abs=0.03)
    assert blind[0].mean_ttft.mean == pytest.approx(0.605, abs=0.05)
    assert knowing[0].hit_rate.mean == pytest.approx(0.872, abs=0.005)
    assert knowing[0].mean_ttft.mean == pytest.approx(0.160, abs=0.01)
    assert knowing[1].hit_rate.mean == pytest.approx(0.997, abs=0.003)
    assert knowing[1].mean_ttft.mean == pytest.approx(0.062, abs=0.003)
    assert 6 < blind[1].mean_ttft.mean / knowing[1].mean_ttft.mean < 9
    assert 13 < blind[1].p99_ttft.mean / knowing[1].p99_ttft.mean < 22
    assert blind[0].mean_ttft.mean / knowing[0].mean_ttft.mean < COLD_MEAN_RATIO_AT_MOST
    assert blind[0].p99_ttft.mean / knowing[0].p99_ttft.mean < 1.4


# --- what must hold --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.kind)
@pytest.mark.parametrize("concurrency", [1, 5, 64])
def test_every_ask_is_served_once_and_no_more_at_a_time(policy: Policy, concurrency: int) -> None:
    """Red when requests are lost, the loop holds more than its clients, or a run is not its seed's."""
    traffic = two_passes(0)
    run = simulate(traffic, PLATFORM, policy, concurrency=concurrency, seed=7)
    assert run == simulate(traffic, PLATFORM, policy, concurrency=concurrency, seed=7)
    for found, order in zip(run, traffic.passes, strict=True):
        assert Counter(one.prompt for one in found.served) == Counter(order)
        # 64 clients on 8 replicas: now and then more run on one than its cache has room for.
        refused = sum(one.refused for one in found.served)
        assert sum(found.requests_per_replica.values()) + refused == 256
        assert refused == 0 or concurrency == 64
        moments = sorted(
            [(one.start, 1) for one in found.done] + [(one.start + one.e2e - 1e-9, -1) for one in found.done]
        )
        level = peak = 0
        for _, step in moments:
            level += step
            peak = max(peak, level)
        assert peak <= concurrency
        assert all(0 < one.ttft <= one.e2e for one in found.done)


def test_latency_law() -> None:
    """Red when TTFT is not (overhead + uncached x per token) x load."""
    assert SCALED.load(1) == 1
    assert SCALED.load(32) == 2
    assert SCALED.ttft(100, 1) == pytest.approx(0.152)
    assert SCALED.ttft(100, 32) == pytest.approx(0.304)
    assert SCALED.decode(1) == pytest.approx(0.15)
    assert LatencyLaw(1, 0, max_num_seqs=1, time_factor_under_load=9).load(5) == 1
    cold, warm = (
        one for passed in simulate(distinct_traffic([100], [[0], [0]], 16), PLATFORM, PRECISE) for one in passed.served
    )
    assert cold.ttft == pytest.approx(0.152)
    assert cold.e2e == pytest.approx(0.302)
    assert warm.ttft == pytest.approx(0.060 + 4 * 0.00092)


def test_jitter_breaks_the_lock_step() -> None:
    """Red when a policy that looks at the load runs the same in every simulation, as no live one does."""
    still = expected(two_passes(0), PLATFORM, LEAST_LOADED, concurrency=8, runs=10)[0].hit_rate
    assert still.low == still.high
    moved = expected(two_passes(0), replace(PLATFORM, jitter=0.02), LEAST_LOADED, concurrency=8, runs=10)[0].hit_rate
    assert moved.low < moved.high
    with pytest.raises(ValueError, match="jitter is a share"):
        replace(PLATFORM, jitter=-1)


def test_a_full_replica_lets_wait() -> None:
    """Red when more than max_num_seqs requests run at once, or waiting does not count into TTFT."""
    law = LatencyLaw(1.0, 0.0, max_num_seqs=2)
    [found] = simulate(
        distinct_traffic([8] * 4, [range(4)], 8), Platform(1, CacheShape(9, 8), law), RANDOM, concurrency=4
    )
    assert [one.ttft for one in found.served] == pytest.approx([1, 1, 2, 2])


def test_a_prompt_that_never_fits_is_refused_and_the_rest_goes_on() -> None:
    """Red when the model hangs or forgets requests that a replica has no room for."""
    traffic = distinct_traffic([160, 32], [[0, 1, 0, 1]], 16)
    [found] = simulate(traffic, Platform(1, CacheShape(4, 16), FLAT), PRECISE, concurrency=2)
    assert [one.refused for one in found.served] == [True, True, False, False]
    assert found.hit_rate == pytest.approx(0.5)
    [none] = simulate(distinct_traffic([160], [[0]], 16), Platform(1, CacheShape(4, 16), FLAT), PRECISE)
    with pytest.raises(ValueError, match="every request was refused"):
        _ = none.hit_rate


def test_round_robin_in_cyclic_order_hits_by_accident() -> None:
    """Red when the trap is gone from the model: 32 prompts in one order on 8 replicas are perfect affinity."""
    cyclic = distinct_traffic(LENGTHS, [list(range(32)) * 8], 16)
    assert simulate(cyclic, PLATFORM, ROUND_ROBIN)[0].hit_rate > 0.86
    assert simulate(two_passes(0), PLATFORM, ROUND_ROBIN)[0].hit_rate < 0.4


def test_twins_split_without_speculation() -> None:
    """Red when events that take time make no difference: 8 twins at once go to one replica only by speculation."""
    twins = distinct_traffic([320], [[0] * 8, [0] * 8], 16)
    slow = Policy("precise", event_delay=0.05)
    quick = Policy("precise", event_delay=0.05, speculative_ttl=2.0)
    apart, later = simulate(twins, PLATFORM, slow, concurrency=8, seed=1)
    assert len(apart.requests_per_replica) > 2
    assert later.hit_rate == 1.0, "once the events are there, it finds one of them"
    assert len(simulate(twins, PLATFORM, quick, concurrency=8, seed=1)[0].requests_per_replica) == 1
    late = Policy("precise", event_delay=60, speculative_ttl=0.001)
    assert len(simulate(twins, PLATFORM, late, seed=1)[0].requests_per_replica) > 1, "a guess ends with its TTL"


def test_events_without_delay_are_the_truth() -> None:
    """Red when the delayed index differs from the caches although events are all but immediate."""
    almost = Policy("precise", event_delay=1e-9)
    for number in range(3):
        mine = simulate(two_passes(number), PLATFORM, almost, seed=number)
        assert [one.hit_rate for one in mine] == [
            one.hit_rate for one in simulate(two_passes(number), PLATFORM, PRECISE, seed=number)
        ]


def test_what_the_approximate_router_forgets_it_does_not_find() -> None:
    """Red when the router's memory has no limit, or the caches help it: it does not know them."""
    traffic = two_passes(0)
    short = simulate(traffic, PLATFORM, Policy("approximate", memory_blocks=20), concurrency=8)
    assert short[1].hit_rate < 0.6
    assert simulate(traffic, PLATFORM, APPROXIMATE, concurrency=8)[1].replicas_per_prompt == 1


def test_load_weight_trades_cache_for_room() -> None:
    """Red when a replica under load is asked all the same although the weights say otherwise."""
    twins = distinct_traffic([320], [[0], [0] * 16], 16)
    platform = Platform(4, CacheShape(40, 16), FLAT)
    assert len(simulate(twins, platform, PRECISE, concurrency=16)[1].requests_per_replica) == 1
    heavy = Policy("precise", cache_weight=1, load_weight=10)
    assert len(simulate(twins, platform, heavy, concurrency=16)[1].requests_per_replica) == 4


def test_least_loaded_keeps_replicas_level() -> None:
    """Red when it does not look at the load: 8 clients on 8 replicas never meet."""
    twins = distinct_traffic([320] * 8, [range(8)], 16)
    assert set(simulate(twins, PLATFORM, LEAST_LOADED, concurrency=8)[0].requests_per_replica.values()) == {1}


def test_more_room_hits_more_under_random_routing() -> None:
    """Red when the hit rate of LRU falls with capacity: with the picks of one seed it may only rise."""
    rates = [
        [one.hit_rate for one in simulate(two_passes(3), Platform(8, CacheShape(room, 16), FLAT), RANDOM, seed=5)]
        for room in (120, 200, 400, 896, 2000)
    ]
    for small, large in pairwise(rates):
        assert small[0] <= large[0]
        assert small[1] <= large[1]


def test_turns_of_a_chat_share_what_they_share() -> None:
    """Red when traffic from token ids loses shared beginnings: each turn hits all full blocks of the one before."""
    turns = conversations(1, 3, system_tokens=40, user_tokens=30, answer_tokens=50)
    traffic = token_traffic([token_ids(one.text) for one in turns], [range(3)], 16)
    [found] = simulate(traffic, PLATFORM, PRECISE)
    assert [one.cached_tokens for one in found.served] == [0] + [one.tokens // 16 * 16 for one in turns[:2]]


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.kind)
@pytest.mark.parametrize("eviction", ["tails", "random"])
def test_the_fast_cache_gives_the_same_run(policy: Policy, eviction: Eviction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a run by segments differs from the same run block by block in any request."""
    shape = CacheShape(500, 16, eviction, holes_count=eviction == "random")
    platform = Platform(8, shape, SCALED)
    fast = simulate(two_passes(1), platform, policy, concurrency=8, seed=4)
    monkeypatch.setattr(routing, "counts_only", _never)
    assert simulate(two_passes(1), platform, policy, concurrency=8, seed=4) == fast


# --- intervals -------------------------------------------------------------------------------------------------------


def test_intervals_hold_a_run_of_the_model_and_not_a_broken_router() -> None:
    """Red when a live run of the same policy lies outside, or one of another policy inside."""
    traffic = two_passes(0)
    blind = expected(traffic, PLATFORM, RANDOM, concurrency=8, runs=60)
    held = [
        blind[1].hit_rate.holds(simulate(traffic, PLATFORM, RANDOM, concurrency=8, seed=900 + n)[1].hit_rate)
        for n in range(20)
    ]
    assert sum(held) >= 18
    assert not blind[1].hit_rate.holds(simulate(traffic, PLATFORM, PRECISE, concurrency=8)[1].hit_rate)
    assert not blind[0].hit_rate.holds(simulate(traffic, PLATFORM, APPROXIMATE, concurrency=8)[0].hit_rate)


def test_spread() -> None:
    found = spread([float(i) for i in range(101)])
    assert (found.mean, found.low, found.high) == (50, 1, 99)
    assert found.holds(99.5, slack=0.5)
    assert not found.holds(99.5)
    assert str(found) == "50.000 [1.000, 99.000]"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: expected(two_passes, PLATFORM, RANDOM, runs=0), "at least one simulation"),
        (lambda: simulate(two_passes(0), PLATFORM, RANDOM, concurrency=0), "at least one client"),
        (lambda: Platform(0, CacheShape(1, 1), FLAT), "at least one replica"),
        (lambda: distinct_traffic([5], [[1]], 16), "by number from 0"),
        (lambda: distinct_traffic([5], [[]], 16), "by number from 0"),
    ],
)
def test_nonsense_is_refused_with_one_line(wrong: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        wrong()
