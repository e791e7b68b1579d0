"""The load of Figures 6 and 7 at a tenth of the paper's tokens, and what the model expects of it.

32 prompts of about 850 tokens, each asked 8 times in an order shuffled by seed, on 8 replicas whose caches hold 16.9
prompts: capacity, hit cost and miss cost are in the paper's proportions, times are not scaled. An arm starts with empty
caches: its first pass is cold, its second one warm.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import msgspec

from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.control import control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.systems.llmd.acts.deployment import Site, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.model.montecarlo import Expected, expected
from gpuassay.systems.llmd.model.policies import APPROXIMATE, LEAST_LOADED, PRECISE, RANDOM, ROUND_ROBIN, Policy
from gpuassay.systems.llmd.model.prefix_cache import simulator_cache
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, distinct_traffic
from gpuassay.systems.llmd.objects.prompt_files import given_prompts
from gpuassay.systems.llmd.objects.prompts import PAPER_REPEATS, Prompt, paper_prompts, shuffled_order
from gpuassay.systems.llmd.readings import RoutingRecording

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
FULL = (tuple(POLICIES), (8, 16), 3)
"""Arms, concurrencies, rounds. With 4 streams a round takes as long as with both of these together."""

STREAMS_TOGETHER = 32
"""Arms run side by side, each with a load generator of its own, as long as they have no more streams than this in all:
less time, and what disturbs one disturbs all. With 48, work waited for a CPU two thirds of the time on two cores."""


def wave(arm: str, concurrency: int, number: int, phase: str) -> str:
    """Name of the requests of one pass: phase is "cold" or "warm"."""
    return f"{arm}/{concurrency}/{number}/{phase}"


def seed_of(number: int, phase: str) -> int:
    """The order of a pass: arms of one round ask in the same order."""
    return 2 * number + (phase == "warm")


@dataclass(frozen=True)
class Load:
    """Labels and lengths in tokens of the prompts that a recording's passes asked.

    Attributes:
        prompts: label and tokens of each.
        own: whether they came from the user's file instead of the paper's description.
        distinct: whether no two begin alike, which the model takes for granted.
    """

    prompts: tuple[tuple[str, int], ...]
    own: bool = False
    distinct: bool = True

    @property
    def requests(self) -> int:
        """Requests of one pass."""
        return len(self.prompts) * PAPER_REPEATS


def prompts_in_use() -> list[Prompt]:
    """The user's prompts (`--prompts`), or else those of the paper."""
    return given_prompts() or paper_prompts(scale=SCALE)


def load_of(recording: RoutingRecording) -> Load:
    """What the passes of a recording asked."""
    told = recording.notes.get("own_prompts")
    if told is None:
        return Load(tuple((prompt.label, prompt.tokens) for prompt in paper_prompts(scale=SCALE)))
    return Load(tuple((str(label), int(tokens)) for label, tokens in told["prompts"]), True, bool(told["distinct"]))


def _begin_alike(prompts: Sequence[Prompt]) -> bool:
    """Whether two prompts share their first block: then one brings part of the other into a cache."""
    beginnings = [tuple(prompt.text.split()[: CACHE.block_size]) for prompt in prompts]
    return len(set(beginnings)) < len(beginnings)


def order(number: int, phase: str, labels: Sequence[str]) -> list[str]:
    """Labels of the prompts in the order in which a pass asks them."""
    return [labels[i] for i in shuffled_order(len(labels), PAPER_REPEATS, seed=seed_of(number, phase))]


def act(lab: RoutingLab) -> None:
    """Every arm at every concurrency, in rounds; in another order each time."""
    arms, concurrencies, rounds = FULL if lab.full else QUICK
    for concurrency in concurrencies:
        together = _together(len(arms), concurrency, rounds)
        lab.notes.setdefault("together", {})[str(concurrency)] = together
        timing = EchoTiming(ttft_ms=80, ttft_jitter=0.5, itl_ms=10, tokens=OUTPUT_TOKENS)
        folder = lab.cluster.directory / "arms" / lab.token
        measured = control(
            ClosedLoop(concurrency=together * concurrency), 6 * 850, folder,
            timing=timing, seconds=2.0, processes=together,
        )  # fmt: skip
        lab.notes.setdefault("control", {})[str(concurrency)] = msgspec.to_builtins(measured)
        for number in range(1, rounds + 1):
            turn = number % len(arms)
            ordered = arms[turn:] + arms[:turn]
            for first in range(0, len(ordered), together):
                _round(lab, ordered[first : first + together], concurrency, number)
    lab.note(arms=list(arms), concurrencies=list(concurrencies), rounds=rounds)
    if own := given_prompts():
        told = [[prompt.label, prompt.tokens] for prompt in own]
        lab.note(own_prompts={"prompts": told, "distinct": not _begin_alike(own)})


def _together(arms: int, concurrency: int, rounds: int) -> int:
    """How many arms run side by side.

    In a single round all must have equally many neighbours; over several rounds each is the one that is left over.
    """
    most = min(arms, max(1, STREAMS_TOGETHER // concurrency))
    return most if rounds > 1 else max(number for number in range(1, most + 1) if arms % number == 0)


def _round(lab: RoutingLab, profiles: tuple[str, ...], concurrency: int, number: int) -> None:
    """A cold and a warm pass of each of these arms, which run side by side."""
    lab.progress(f"{', '.join(profiles)}: {concurrency} streams each, round {number}")
    prompts = {prompt.label: prompt for prompt in prompts_in_use()}
    shape = ClosedLoop(concurrency=concurrency)

    def play(item: tuple[str, Site]) -> None:
        profile, site = item
        site.scrape(wave(profile, concurrency, number, "begin"))
        for phase in ("cold", "warm"):
            named = wave(profile, concurrency, number, phase)
            site.load(named, prompts, order(number, phase, list(prompts)), shape, max_tokens=OUTPUT_TOKENS)
            site.scrape(named)

    with ExitStack() as stack:
        sites: list[tuple[str, Site]] = []
        for profile in profiles:
            arm = Arm(profile=profile, replicas=REPLICAS, cache=CACHE, latency=LATENCY)
            site = stack.enter_context(opened(lab, arm, name=f"{profile}-{concurrency}-{number}"))
            sites.append((profile, site))
        side_by_side(play, sites)


@cache
def modelled(arm: str, concurrency: int, number: int, load: Load) -> tuple[Expected, Expected]:
    """What the model expects of the cold and of the warm pass of one round."""
    lengths = [tokens for _, tokens in load.prompts]
    labels = [label for label, _ in load.prompts]
    place = {label: i for i, label in enumerate(labels)}
    passes = [[place[label] for label in order(number, phase, labels)] for phase in ("cold", "warm")]
    law = LatencyLaw(
        LATENCY.prefill_overhead, LATENCY.prefill_per_token, LATENCY.inter_token, OUTPUT_TOKENS,
        LATENCY.max_running, LATENCY.factor_under_load,
    )  # fmt: skip
    platform = Platform(REPLICAS, simulator_cache(CACHE.blocks, CACHE.block_size), law)
    traffic = distinct_traffic(lengths, passes, CACHE.block_size)
    cold, warm = expected(traffic, platform, POLICIES[arm], concurrency=concurrency, runs=SIMULATIONS)
    return cold, warm
