"""The load of Figures 6 and 7 at a tenth of the paper's tokens, and what the model expects of it.

32 prompts of about 850 tokens, each asked 8 times in an order shuffled by seed, on 8 replicas whose caches hold 16.9
prompts: capacity, hit cost and miss cost are in the paper's proportions, times are not scaled. An arm starts with empty
caches: its first pass is cold, its second one warm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

import msgspec

from gpuassay import Note
from gpuassay.load.control import control
from gpuassay.load.gate import Control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.systems.llmd import notes, side_by_side
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.model.montecarlo import Expected, expected
from gpuassay.systems.llmd.model.policies import APPROXIMATE, LEAST_LOADED, PRECISE, RANDOM, ROUND_ROBIN, Policy
from gpuassay.systems.llmd.model.prefix_cache import simulator_cache
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, distinct_traffic, token_traffic
from gpuassay.systems.llmd.objects.prompt_files import BadPromptFile, Given, given
from gpuassay.systems.llmd.objects.prompts import (
    PAPER_PROMPTS,
    PAPER_REPEATS,
    PAPER_TOKENS,
    Prompt,
    paper_prompts,
    shuffled_order,
)
from gpuassay.systems.llmd.objects.tokens import readable, token_ids
from gpuassay.systems.llmd.readings import RoutingRecording

SCALE = 0.1
"""Of the paper's tokens."""
CACHE = Cache(blocks=896, block_size=16)
LATENCY = Latency()
OUTPUT_TOKENS = 16
REPLICAS = 8
SIMULATIONS = 40
"""Of the model, for the intervals of hit rates."""
HELD = CACHE.blocks * CACHE.block_size / (SCALE * PAPER_TOKENS / PAPER_PROMPTS)
"""Prompts of mean length that a replica's cache holds: the paper's proportion, for prompts of the user's as well."""
MOST = 64
"""Prompts of the user's file (`--prompts`) that a pass asks, 8 times each."""
LONGEST = 131_072
"""Tokens of prompt and answer that the arm's model servers take."""

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


class OwnPrompts(msgspec.Struct, frozen=True):
    """The user's prompts that passes asked, so that a recording can be judged without their file.

    Attributes:
        prompts: label of each, its tokens, and those of its answer where the file tells.
        chains: blocks of each prompt by number, equal where prompts begin alike.
        blocks: that a replica's cache holds.
        said: for people, what of the file is asked.
    """

    prompts: list[tuple[str, int, int | None]]
    chains: list[list[int]]
    blocks: int
    said: list[str]


CONCURRENCIES = Note("concurrencies", list[int], "concurrencies that were asked at")
TOGETHER = Note("together", dict[int, int], "how many arms were asked side by side, by concurrency", default={})
CONTROL = Note("control", dict[int, Control], "the generator's own error, by concurrency")
OWN_PROMPTS = Note("own_prompts", OwnPrompts, "the user's prompts, where they were given", default=None)


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
        answers: tokens of each answer that the file tells; empty where none is told.
        chains: blocks of each prompt by number, equal where prompts begin alike; empty where no two do.
        blocks: that a replica's cache holds.
    """

    prompts: tuple[tuple[str, int], ...]
    own: bool = False
    answers: tuple[int | None, ...] = ()
    chains: tuple[tuple[int, ...], ...] = ()
    blocks: int = CACHE.blocks

    @property
    def alike(self) -> bool:
        """Whether two prompts share their first block."""
        first = [chain[0] for chain in self.chains if chain]
        return len(set(first)) < len(first)

    @property
    def requests(self) -> int:
        """Requests of one pass."""
        return len(self.prompts) * PAPER_REPEATS


@dataclass(frozen=True)
class Asked:
    """What passes ask.

    Attributes:
        prompts: the user's (`--prompts`), or else those of the paper.
        cache: of every replica.
        timeout: seconds for a request.
        body_bytes: of a prompt, on average.
        own: what a recording notes of the user's prompts; None where the paper's are asked.
    """

    prompts: list[Prompt]
    cache: Cache = CACHE
    timeout: float = 30.0
    body_bytes: int = 6 * 850
    own: OwnPrompts | None = None


def asked() -> Asked:
    """What passes ask: the user's prompts, on caches in the paper's proportion to them, or the paper's own.

    Raises:
        BadPromptFile: none of the user's prompts is short enough for the arm.
    """
    told = given()
    return Asked(paper_prompts(scale=SCALE)) if told is None else _of_user(told)


def _of_user(told: Given) -> Asked:
    fit = [one for one in told.prompts if one.tokens + (one.max_tokens or OUTPUT_TOKENS) <= LONGEST]
    prompts = fit[:MOST]
    if not prompts:
        raise BadPromptFile(f"prompts file {told.file}: all are longer than the {LONGEST} tokens that an arm takes")
    said = list(told.lines())
    if len(fit) < len(told.prompts):
        said.append(f"{len(told.prompts) - len(fit)} are longer than the {LONGEST} tokens that an arm takes")
    if len(prompts) < len(fit):
        said.append(f"Figures 6 and 7 ask the first {len(prompts)} of {len(fit)}")
    size = CACHE.block_size
    lengths = sorted((math.ceil(one.tokens / size) for one in prompts), reverse=True)
    # as many as run at a time find room on one replica, else a sound one refuses some
    blocks = max(math.ceil(HELD * fmean(one.tokens for one in prompts) / size), sum(lengths[: max(FULL[1])]))
    law = _law()
    slowest = max(
        law.ttft(one.tokens, law.max_num_seqs) + law.decode(law.max_num_seqs, one.max_tokens) for one in prompts
    )
    traffic = token_traffic([token_ids(readable(one.text)) for one in prompts], [range(len(prompts))], size)
    return Asked(
        prompts,
        replace(CACHE, blocks=blocks),
        timeout=max(30.0, 2 * slowest),
        body_bytes=round(fmean(len(one.text.encode()) for one in prompts)),
        own=OwnPrompts(
            prompts=[(one.label, one.tokens, one.max_tokens) for one in prompts],
            chains=[list(chain) for chain in traffic.chains],
            blocks=blocks,
            said=said,
        ),
    )


def load_of(recording: RoutingRecording) -> Load:
    """What the passes of a recording asked."""
    told = recording.note(OWN_PROMPTS)
    if told is None:
        return Load(tuple((prompt.label, prompt.tokens) for prompt in paper_prompts(scale=SCALE)))
    return load_of_note(told)


def load_of_note(told: OwnPrompts) -> Load:
    """The user's prompts as a recording notes them."""
    return Load(
        tuple((label, tokens) for label, tokens, _ in told.prompts),
        own=True,
        answers=tuple(answer for _, _, answer in told.prompts),
        chains=tuple(map(tuple, told.chains)),
        blocks=told.blocks,
    )


def order(number: int, phase: str, labels: Sequence[str]) -> list[str]:
    """Labels of the prompts in the order in which a pass asks them."""
    return [labels[i] for i in shuffled_order(len(labels), PAPER_REPEATS, seed=seed_of(number, phase))]


def act(lab: RoutingLab) -> None:
    """Every arm at every concurrency, in rounds; in another order each time."""
    arms, concurrencies, rounds = FULL if lab.full else QUICK
    load = asked()
    if load.own:
        lab.note(OWN_PROMPTS, load.own)
        lab.progress("; ".join(load.own.said))
    for concurrency in concurrencies:
        together = _together(len(arms), concurrency, rounds)
        lab.note_under(TOGETHER, concurrency, together)
        timing = EchoTiming(ttft_ms=80, ttft_jitter=0.5, itl_ms=10, tokens=OUTPUT_TOKENS)
        folder = lab.cluster.directory / "arms" / lab.token
        measured = control(
            ClosedLoop(concurrency=together * concurrency), load.body_bytes, folder,
            timing=timing, seconds=2.0, processes=together,
        )  # fmt: skip
        lab.note_under(CONTROL, concurrency, measured)
        for number in range(1, rounds + 1):
            turn = number % len(arms)
            ordered = arms[turn:] + arms[:turn]
            for first in range(0, len(ordered), together):
                _round(lab, load, ordered[first : first + together], concurrency, number)
        own = [one for named, one in lab.noted(notes.POD_CONTROLS).items() if named.split("/")[1] == str(concurrency)]
        if own:  # pods have measured their own error, where they stood
            lab.note_under(CONTROL, concurrency, worst(own))
    lab.note(notes.WAYS, list(arms))
    lab.note(CONCURRENCIES, list(concurrencies))
    lab.note(notes.ROUNDS, rounds)


def worst(controls: Iterable[Control]) -> Control:
    """The generator that errs most, of several that put load side by side."""
    return max(controls, key=lambda one: one.error_p99)


def _together(arms: int, concurrency: int, rounds: int) -> int:
    """How many arms run side by side.

    In a single round all must have equally many neighbours; over several rounds each is the one that is left over.
    """
    most = min(arms, max(1, STREAMS_TOGETHER // concurrency))
    return most if rounds > 1 else max(number for number in range(1, most + 1) if arms % number == 0)


def _round(lab: RoutingLab, load: Asked, profiles: tuple[str, ...], concurrency: int, number: int) -> None:
    """A cold and a warm pass of each of these arms, which run side by side."""
    lab.progress(f"{', '.join(profiles)}: {concurrency} streams each, round {number}")
    prompts = {prompt.label: prompt for prompt in load.prompts}
    shape = ClosedLoop(concurrency=concurrency)

    def play(item: tuple[str, Deployment]) -> None:
        profile, site = item
        site.scrape(wave(profile, concurrency, number, "begin"))
        for phase in ("cold", "warm"):
            named = wave(profile, concurrency, number, phase)
            asks = order(number, phase, list(prompts))
            site.load(named, prompts, asks, shape, max_tokens=OUTPUT_TOKENS, timeout=load.timeout)
            site.scrape(named)

    with ExitStack() as stack:
        sites: list[tuple[str, Deployment]] = []
        for profile in profiles:
            arm = Arm(profile=profile, replicas=REPLICAS, cache=load.cache, latency=LATENCY)
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
    platform = Platform(REPLICAS, simulator_cache(load.blocks, CACHE.block_size), _law())
    traffic = distinct_traffic(lengths, passes, CACHE.block_size)
    traffic = replace(traffic, chains=load.chains or traffic.chains, answers=load.answers)
    cold, warm = expected(traffic, platform, POLICIES[arm], concurrency=concurrency, runs=SIMULATIONS)
    return cold, warm


def _law() -> LatencyLaw:
    return LatencyLaw(
        LATENCY.prefill_overhead, LATENCY.prefill_per_token, LATENCY.inter_token, OUTPUT_TOKENS,
        LATENCY.max_running, LATENCY.factor_under_load,
    )  # fmt: skip
