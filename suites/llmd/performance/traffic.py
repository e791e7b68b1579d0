"""Two more shapes of traffic and a staircase of rates, on one arm per policy; and what the model expects of them.

A shape begins with prompts that no replica has seen. Shared prefix: tenants with a system prompt each, every request
with an end of its own. Conversations: every turn holds all turns before it. The staircase asks 32 prompts of equal
length that fill the caches of all replicas half; before it, random routing has filled them by asking, and under a
router that knows the caches every replica holds four of the prompts, so that both begin as they would go on.

A replica runs 8 requests at a time. In the shapes they slow each other down a little, as in Figures 6 and 7; on the
staircase n of them take n times as long, as if prefill were done one request after the other.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

from gpuassay import Note
from gpuassay.load.control import control
from gpuassay.load.gate import Control
from gpuassay.load.plan import ClosedLoop, Poisson, Schedule
from gpuassay.load.timing import EchoTiming
from gpuassay.systems.llmd import notes, side_by_side
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.model.closed import longest_prefix_hits
from gpuassay.systems.llmd.model.montecarlo import Expected, expected
from gpuassay.systems.llmd.model.policies import APPROXIMATE, LEAST_LOADED, PRECISE, RANDOM, Policy
from gpuassay.systems.llmd.model.prefix_cache import simulator_cache
from gpuassay.systems.llmd.model.saturation import Prediction, Staircase, predict
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, Run, Traffic, distinct_traffic, token_traffic
from gpuassay.systems.llmd.objects.prompts import Prompt, conversations, prompt_set, shared_prefix, shuffled_order
from gpuassay.systems.llmd.objects.tokens import token_ids
from suites.llmd.performance.load67 import worst

REPLICAS, CACHE, OUTPUT_TOKENS = 8, Cache(blocks=896, block_size=16), 4
LATENCY = Latency(max_running=8, factor_under_load=2.0)
SERIAL_FACTOR = 8.0
"""Of `max_running` on the staircase: n running requests take n times as long."""
SIMULATIONS = 60

POLICIES: dict[str, Policy] = {
    "random": RANDOM,
    "least-loaded": LEAST_LOADED,
    "approximate": APPROXIMATE,
    "precise": PRECISE,
}

SHARED, TURNS = "shared prefix", "conversations"
SHAPES = (SHARED, TURNS)
TENANTS = 8
SHARED_PROMPTS = shared_prefix(TENANTS, 6, prefix_tokens=512, own_tokens=64, seed=1)
# the system message is shorter than a block, else all conversations would share one and end up on one replica
TURN_PROMPTS = conversations(TENANTS, 6, system_tokens=4, user_tokens=70, answer_tokens=50, seed=2)
PROMPTS = {SHARED: SHARED_PROMPTS, TURNS: TURN_PROMPTS}
STREAMS = 8

BURST = "burst"
BURST_PROMPTS = shared_prefix(TENANTS, 6, prefix_tokens=512, own_tokens=64, seed=9)
"""As SHARED, but all asked at once, tenant by tenant: before any event can tell where a prefix went."""

STEADY = prompt_set([850] * 32, seed=3, prefix="s")
FILL_SEED = 901


TOGETHER = Note("together", int, "how many arms were asked side by side", default=1)
CONTROL = Note("control", dict[str, Control], "the generator's own error, by what was asked")
STAIRS = Note("stairs", dict[str, Staircase], "the staircase that each arm climbed")


@dataclass(frozen=True)
class Mode:
    """Which policies climb which stairs: (requests/s, requests) of every step."""

    stairs: dict[str, Staircase]


# A seed without a lucky draw: under random routing 13.5 requests/s end above the bound in every simulation.
QUICK = Mode(
    {
        "random": Staircase(((6, 24), (9, 27), (13.5, 32), (20, 36)), seed=4),
        "precise": Staircase(((13.5, 32), (27, 54), (54, 108)), seed=4),
    }
)
_RANDOM_FULL = Staircase(((4, 60), (5.7, 80), (8, 120), (11.3, 170), (16, 200)), seed=4)
_KNOWING_FULL = Staircase(((4, 60), (8, 80), (16, 120), (32, 240), (45, 340), (64, 480), (90, 680)), seed=4)
FULL = Mode(
    {
        "random": _RANDOM_FULL,
        "least-loaded": Staircase((*_RANDOM_FULL.steps, (22.6, 280), (32, 320)), seed=4),
        "approximate": _KNOWING_FULL,
        "precise": _KNOWING_FULL,
    }
)


def wave(arm: str, what: str) -> str:
    """Name of the requests of one arm: a shape, or `staircase`."""
    return f"{arm}/{what}"


def order(shape: str) -> list[int]:
    """In which order a shape's prompts are asked, by number; in a closed loop every prefix begins before its sequel."""
    prompts = PROMPTS[shape]
    if shape == TURNS:
        return list(range(len(prompts)))
    first = [place for place, prompt in enumerate(prompts) if prompt.label.endswith(".0")]
    later = [place for place in range(len(prompts)) if place not in first]
    random.Random("later").shuffle(later)
    return first + later


def act(lab: RoutingLab) -> None:
    """Every policy on an arm of its own: the shapes, then the staircase. Quick, side by side; with --full in turn."""
    mode = FULL if lab.full else QUICK
    together = 1 if lab.full else len(mode.stairs)
    folder = lab.cluster.directory / "arms" / lab.token
    timing = EchoTiming(ttft_ms=80, ttft_jitter=0.5, itl_ms=10, tokens=OUTPUT_TOKENS)
    highest = max(rate for stairs in mode.stairs.values() for rate in stairs.rates)
    for name, shape in (("shapes", ClosedLoop(together * STREAMS)), ("staircase", Poisson(together * highest))):
        measured = control(
            shape, 6 * 850, folder, timing=timing, seconds=1.5, processes=together, name=f"control-{name}"
        )
        lab.note_under(CONTROL, name, measured)
    profiles = list(mode.stairs)
    for first in range(0, len(profiles), together):
        _play(lab, mode, profiles[first : first + together])
    own = lab.noted(notes.POD_CONTROLS)
    for name, steps in (("shapes", SHAPES), ("staircase", ("staircase",))):
        measured_there = [one for named, one in own.items() if named.partition("/")[2] in steps]
        if measured_there:  # pods have measured their own error, where they stood
            lab.note_under(CONTROL, name, worst(measured_there))
    lab.note(notes.WAYS, profiles)
    lab.note(TOGETHER, together)
    lab.note(STAIRS, dict(mode.stairs))


def _play(lab: RoutingLab, mode: Mode, profiles: list[str]) -> None:
    """The shapes and the staircase on each of these arms, which run side by side."""
    lab.progress(f"{', '.join(profiles)}: two shapes of traffic, then rising rates")

    def play(item: tuple[str, Deployment]) -> None:
        profile, site = item
        site.scrape(wave(profile, "begin"))
        for shape in SHAPES:
            prompts = {prompt.label: prompt for prompt in PROMPTS[shape]}
            labels = [PROMPTS[shape][place].label for place in order(shape)]
            named = wave(profile, shape)
            site.load(named, prompts, labels, ClosedLoop(STREAMS), max_tokens=OUTPUT_TOKENS)
            site.scrape(named)
        burst = {prompt.label: prompt for prompt in BURST_PROMPTS}
        at_once = ClosedLoop(len(burst))
        site.load(wave(profile, BURST), burst, list(burst), at_once, max_tokens=OUTPUT_TOKENS)
        site.scrape(wave(profile, BURST))
        _climb(site, profile, mode.stairs[profile])

    with ExitStack() as stack:
        sites: list[tuple[str, Deployment]] = []
        for profile in profiles:
            arm = Arm(profile=profile, replicas=REPLICAS, cache=CACHE, latency=LATENCY)
            sites.append((profile, stack.enter_context(opened(lab, arm, name=profile))))
        side_by_side(play, sites)


def _climb(site: Deployment, profile: str, stairs: Staircase) -> None:
    prompts = {prompt.label: prompt for prompt in STEADY}
    _retime(site, {"prefill-overhead": "0s", "prefill-time-per-token": "0s"})
    if knows(profile):
        _place(site, profile, prompts)
    else:
        fill = [STEADY[place].label for place in shuffled_order(len(STEADY), 8, FILL_SEED)]
        site.load(wave(profile, "filling"), prompts, fill, ClosedLoop(16), max_tokens=1)
    timing = {
        "prefill-overhead": f"{LATENCY.prefill_overhead:g}s",
        "prefill-time-per-token": f"{LATENCY.prefill_per_token * 1e6:g}us",
    }
    _retime(site, {**timing, "time-factor-under-load": SERIAL_FACTOR})
    labels = [STEADY[place].label for place in stairs.order(len(STEADY))]
    shape = Schedule(tuple(stairs.due))
    site.load(wave(profile, "staircase"), prompts, labels, shape, max_tokens=OUTPUT_TOKENS, timeout=60)


def knows(profile: str) -> bool:
    """Whether a policy looks at prefixes."""
    return profile in ("precise", "approximate")


def _retime(site: Deployment, settings: dict[str, object]) -> None:
    side_by_side(lambda replica: replica.admin(settings), site.replicas)


def _place(site: Deployment, profile: str, prompts: dict[str, Prompt]) -> None:
    if profile == "approximate":
        # it knows only what it has sent: one pass in turn, which it spreads by chance
        site.load(wave(profile, "filling"), prompts, list(prompts), ClosedLoop(1), max_tokens=1)
    else:
        site.warm({prompt.label: site.replicas[place % REPLICAS] for place, prompt in enumerate(STEADY)}, prompts)


def _platform(factor: float) -> Platform:
    law = LatencyLaw(
        LATENCY.prefill_overhead, LATENCY.prefill_per_token, LATENCY.inter_token, OUTPUT_TOKENS,
        LATENCY.max_running, factor,
    )  # fmt: skip
    return Platform(REPLICAS, simulator_cache(CACHE.blocks, CACHE.block_size), law)


@cache
def traffic() -> Traffic:
    """The shapes, one pass after the other, as the model takes them."""
    first = len(SHARED_PROMPTS)
    passes = [order(SHARED), [first + place for place in order(TURNS)]]
    ids = [token_ids(prompt.text) for prompt in (*SHARED_PROMPTS, *TURN_PROMPTS)]
    return token_traffic(ids, passes, CACHE.block_size)


@cache
def burst_hits() -> int:
    """Tokens that hit in the burst if every tenant stays together."""
    ids = [token_ids(prompt.text) for prompt in BURST_PROMPTS]
    chains = token_traffic(ids, [range(len(ids))], CACHE.block_size).chains
    return longest_prefix_hits(chains, CACHE.block_size)


@cache
def modelled(arm: str) -> dict[str, Expected]:
    """What the model expects of each shape."""
    found = expected(
        traffic(), _platform(LATENCY.factor_under_load), POLICIES[arm], concurrency=STREAMS, runs=SIMULATIONS
    )
    return dict(zip(SHAPES, found, strict=True))


@cache
def predicted(arm: str, stairs: Staircase, bound: float) -> Prediction:
    """What the model expects of a climb, with p95 of TTFT within `bound` s."""
    steady = distinct_traffic([prompt.tokens for prompt in STEADY], [range(len(STEADY))], CACHE.block_size)
    serial = _platform(SERIAL_FACTOR)

    def warm(run: Run) -> None:
        if arm == "precise":
            run.hold({place: place % REPLICAS for place in range(len(STEADY))})
            return
        run.platform = replace(serial, latency=replace(serial.latency, prefill_overhead=0.0, prefill_per_token=0.0))
        if arm == "approximate":
            run.play(range(len(STEADY)), 1)
        else:
            run.play(shuffled_order(len(STEADY), 8, FILL_SEED), 16)
        run.platform = serial

    runs = SIMULATIONS if arm != "precise" else 1  # nothing is left to chance there
    return predict(steady, serial, POLICIES[arm], stairs, bound, warm=warm, runs=runs)
