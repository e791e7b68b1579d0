"""The load of Figures 6 and 7 at a tenth of the paper's tokens, and what the model expects of it.

32 prompts of about 850 tokens, each asked 8 times in an order shuffled by seed, on 8 replicas whose caches hold 16.9
prompts: capacity, hit cost and miss cost are in the paper's proportions, times are not scaled. An arm starts with empty
caches: its first pass is cold, its second one warm.
"""

from __future__ import annotations

from functools import cache

import msgspec

from gpuassay.components.llmd.arm import Arm
from gpuassay.components.llmd.simulator import Cache, Latency
from gpuassay.load.control import control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.model.prefix_cache import simulator_cache
from gpuassay.model.routing import LatencyLaw, Platform, distinct_traffic
from gpuassay.model.routing_montecarlo import Expected, expected
from gpuassay.model.routing_policies import APPROXIMATE, LEAST_LOADED, PRECISE, RANDOM, ROUND_ROBIN, Policy
from gpuassay.scenario.lab import Lab
from gpuassay.scenario.routing import opened
from gpuassay.workloads.prompts import PAPER_REPEATS, paper_prompts, shuffled_order

SCALE = 0.1
"""Of the paper's tokens."""
CACHE = Cache(blocks=896, block_size=16)
LATENCY = Latency()
OUTPUT_TOKENS = 16
REPLICAS = 8
SIMULATIONS = 40
"""Of the model, for the intervals of hit rates."""

POLICIES: dict[str, Policy] = {
    "random": RANDOM,
    "round-robin": ROUND_ROBIN,
    "least-loaded": LEAST_LOADED,
    "approximate": APPROXIMATE,
    "precise": PRECISE,
}
"""Arms by name; the model's policy of each."""

QUICK = (("random", "approximate", "precise"), (16,), 1)
FULL = (tuple(POLICIES), (4, 8, 16), 3)
"""Arms, concurrencies, rounds."""


def wave(arm: str, concurrency: int, number: int, phase: str) -> str:
    """Name of the requests of one pass: phase is "cold" or "warm"."""
    return f"{arm}/{concurrency}/{number}/{phase}"


def seed_of(number: int, phase: str) -> int:
    """The order of a pass: arms of one round ask in the same order."""
    return 2 * number + (phase == "warm")


def order(number: int, phase: str) -> list[str]:
    """Labels of the prompts in the order in which a pass asks them."""
    prompts = paper_prompts(scale=SCALE)
    return [prompts[i].label for i in shuffled_order(len(prompts), PAPER_REPEATS, seed=seed_of(number, phase))]


def act(lab: Lab) -> None:
    """Every arm at every concurrency, in rounds; arms of a round follow each other, in another order each time."""
    arms, concurrencies, rounds = FULL if lab.full else QUICK
    prompts = {prompt.label: prompt for prompt in paper_prompts(scale=SCALE)}
    for concurrency in concurrencies:
        timing = EchoTiming(ttft_ms=80, ttft_jitter=0.5, itl_ms=10, tokens=OUTPUT_TOKENS)
        folder = lab.cluster.directory / "arms" / lab.token
        measured = control(ClosedLoop(concurrency=concurrency), 6 * 850, folder, timing=timing, seconds=2.5)
        lab.notes.setdefault("control", {})[str(concurrency)] = msgspec.to_builtins(measured)
        for number in range(1, rounds + 1):
            turn = number % len(arms)
            for profile in arms[turn:] + arms[:turn]:
                lab.progress(f"{profile}, {concurrency} streams, round {number} of {rounds}")
                arm = Arm(profile=profile, replicas=REPLICAS, cache=CACHE, latency=LATENCY)
                with opened(lab, arm, name=f"{profile}-{concurrency}-{number}") as site:
                    site.scrape(wave(profile, concurrency, number, "begin"))
                    for phase in ("cold", "warm"):
                        named = wave(profile, concurrency, number, phase)
                        shape = ClosedLoop(concurrency=concurrency)
                        site.load(named, prompts, order(number, phase), shape, max_tokens=OUTPUT_TOKENS)
                        site.scrape(named)
    lab.note(arms=list(arms), concurrencies=list(concurrencies), rounds=rounds)


@cache
def modelled(arm: str, concurrency: int, number: int) -> tuple[Expected, Expected]:
    """What the model expects of the cold and of the warm pass of one round."""
    lengths = [prompt.tokens for prompt in paper_prompts(scale=SCALE)]
    place = {prompt.label: i for i, prompt in enumerate(paper_prompts(scale=SCALE))}
    passes = [[place[label] for label in order(number, phase)] for phase in ("cold", "warm")]
    law = LatencyLaw(
        LATENCY.prefill_overhead, LATENCY.prefill_per_token, LATENCY.inter_token, OUTPUT_TOKENS,
        LATENCY.max_running, LATENCY.factor_under_load,
    )  # fmt: skip
    platform = Platform(REPLICAS, simulator_cache(CACHE.blocks, CACHE.block_size), law)
    traffic = distinct_traffic(lengths, passes, CACHE.block_size)
    cold, warm = expected(traffic, platform, POLICIES[arm], concurrency=concurrency, runs=SIMULATIONS)
    return cold, warm
