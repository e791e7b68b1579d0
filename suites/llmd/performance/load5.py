"""The load of Figure 5: what every part of the way adds to TTFT, while the model server itself takes no time.

One replica an arm, the same four prompts again and again (cached, so that the simulator's cache does no work), one
output token. Arms of a round follow each other within seconds; differences are taken round by round. The pickers' own
histograms are read before and after the rounds of every load.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from gpuassay import Note
from gpuassay.load.control import control
from gpuassay.load.gate import Control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set

DIRECT, GATEWAY, RANDOM, PRECISE = "direct", "gateway", "picker-random", "picker-precise"
GAIE_RANDOM, GAIE_APPROXIMATE = "gaie-random", "gaie-approximate"
ARMS = (DIRECT, GATEWAY, RANDOM, PRECISE)
GAIE = (GAIE_RANDOM, GAIE_APPROXIMATE)
"""Arms of the inference extension's own picker, which has no precise routing; with --full, where it has been built."""

PICKERS = (RANDOM, PRECISE, *GAIE)
TITLES = {
    DIRECT: "model server directly (as through a ClusterIP)",
    GATEWAY: "through Envoy, nobody asked",
    RANDOM: "through Envoy and a picker that picks at random",
    PRECISE: "through Envoy and a picker that knows the caches",
    GAIE_RANDOM: "the same at random, the inference extension's picker",
    GAIE_APPROXIMATE: "approximate prefixes, the inference extension's picker",
}

LONG = 34_000
"""Tokens of a body of about 220 kB."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """Prompts of so many tokens were asked at these concurrencies, in so many rounds (None: as `notes.ROUNDS` says)."""

    tokens: int
    streams: list[int]
    rounds: int | None = None


WAYS = Note("arms", list[str], "the ways that were measured", default=list(ARMS))
LOADS = Note("loads", list[Asked], "what was asked")
CONTROL = Note("control", dict[str, Control], "the generator's own error, by tokens and concurrency")


@dataclass(frozen=True)
class Load:
    """Prompts of so many tokens at these concurrencies: rounds, and requests of a stream in each."""

    tokens: int
    streams: tuple[int, ...]
    rounds: int
    requests: int


QUICK = (Load(100, (1, 8), 4, 12), Load(LONG, (1,), 3, 3))
FULL = (Load(100, (1, 2, 4, 8, 16, 32, 64), 4, 12), Load(850, (1, 8), 4, 12), Load(LONG, (1, 4), 3, 4))


def wave(arm: str, tokens: int, concurrency: int, number: int) -> str:
    """Name of the requests of one arm in one round."""
    return f"{arm}/{tokens}/{concurrency}/{number}"


def scrape_label(arm: str, tokens: int, concurrency: int, moment: str) -> str:
    """Label of a picker's metrics: `moment` is "before" or "after" the rounds of a load."""
    return f"{arm}/{tokens}/{concurrency}/{moment}"


def open_arms(lab: RoutingLab, stack: ExitStack) -> dict[str, tuple[Deployment, str | None]]:
    """Deployment and URL (None: its gateway) of every arm."""
    cache = Cache(blocks=16_384)
    profiles = {GATEWAY: "round-robin", RANDOM: "random", PRECISE: "precise"}
    if lab.full and lab.has_program("gaie-epp"):
        profiles |= {GAIE_RANDOM: "random", GAIE_APPROXIMATE: "approximate"}
    sites = {
        name: stack.enter_context(
            opened(
                lab,
                Arm(profile=profile, replicas=1, cache=cache, latency=NO_LATENCY,
                    picker="gaie" if name in GAIE else "llm-d"),
                name=name,
            )
        )
        for name, profile in profiles.items()
    }  # fmt: skip
    direct = sites[GATEWAY]
    found: dict[str, tuple[Deployment, str | None]] = {DIRECT: (direct, direct.replicas[0].url)}
    for name, site in sites.items():
        found[name] = (site, None)
    return found


def act(lab: RoutingLab) -> None:
    """Rounds of all arms at every load, after a control of the generator at the same load."""
    loads = FULL if lab.full else QUICK
    with ExitStack() as stack:
        arms = open_arms(lab, stack)
        for load in loads:
            prompts = {
                one.label: one for one in prompt_set([load.tokens] * 4, seed=load.tokens, prefix=f"t{load.tokens}-")
            }
            fill_caches(arms, prompts)
            for concurrency in load.streams:
                rounds(lab, arms, load, concurrency, prompts)
    lab.note(WAYS, list(arms))
    lab.note(LOADS, [Asked(load.tokens, list(load.streams), load.rounds) for load in loads])


def rounds(
    lab: RoutingLab,
    arms: dict[str, tuple[Deployment, str | None]],
    load: Load,
    concurrency: int,
    prompts: dict[str, Prompt],
) -> None:
    """All rounds of all arms (site, URL) at one concurrency, after a control of the generator."""
    tokens, shape = load.tokens, ClosedLoop(concurrency=concurrency)
    folder = lab.cluster.directory / "arms" / lab.token
    timing = EchoTiming(ttft_ms=20, ttft_jitter=0.5, tokens=1)
    measured = control(shape, 6 * tokens, folder, timing=timing, seconds=1.5, name=f"control-{tokens}-{concurrency}")
    lab.note_under(CONTROL, f"{tokens}/{concurrency}", measured)
    order = (list(prompts) * ((load.requests + 1) * concurrency))[: (max(load.requests, 4) + 1) * concurrency]
    names = list(arms)
    asking = [name for name in names if name in PICKERS]
    for name in asking:
        arms[name][0].scrape(scrape_label(name, tokens, concurrency, "before"))
    for number in range(1, load.rounds + 1):
        lab.progress(f"{tokens} tokens, {concurrency} streams, round {number} of {load.rounds}")
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            site, url = arms[name]
            named = wave(name, tokens, concurrency, number)
            site.load(named, prompts, order, shape, max_tokens=1, warm_up=concurrency, to=url)
    for name in asking:
        arms[name][0].scrape(scrape_label(name, tokens, concurrency, "after"))
    asked = f"/{tokens}/{concurrency}/"
    own = [one for named, one in lab.noted(notes.POD_CONTROLS).items() if asked in named]
    if own:  # pods have measured their own error, where they stood
        lab.note_under(CONTROL, f"{tokens}/{concurrency}", max(own, key=lambda one: one.error_p99))


def fill_caches(arms: dict[str, tuple[Deployment, str | None]], prompts: dict[str, Prompt]) -> None:
    """Ask every replica for every prompt, so that its cache does no work later."""
    for site, _ in arms.values():
        for prompt in prompts.values():
            site.replicas[0].complete(prompt.text)
