"""The load of Figure 5: what every part of the way adds to TTFT, while the model server itself takes no time.

One replica an arm, the same four prompts again and again (cached, so that the simulator's cache does no work), one
output token. Arms of a round follow each other within seconds; differences are taken round by round.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from gpuassay.components.llmd.arm import Arm
from gpuassay.components.llmd.simulator import NO_LATENCY, Cache
from gpuassay.load.control import control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.scenario.lab import Lab
from gpuassay.scenario.routing import Site, opened
from gpuassay.workloads.prompts import Prompt, prompt_set

DIRECT, GATEWAY, RANDOM, PRECISE = "direct", "gateway", "picker-random", "picker-precise"
ARMS = (DIRECT, GATEWAY, RANDOM, PRECISE)
TITLES = {
    DIRECT: "model server directly (as through a ClusterIP)",
    GATEWAY: "through Envoy, nobody asked",
    RANDOM: "through Envoy and a picker that picks at random",
    PRECISE: "through Envoy and a picker that knows the caches",
}

LONG = 34_000
"""Tokens of a body of about 220 kB."""


@dataclass(frozen=True)
class Mode:
    """How much is measured: prompt lengths in tokens with their concurrencies, rounds, requests of a stream a round."""

    loads: tuple[tuple[int, tuple[int, ...]], ...]
    rounds: int
    requests: int


QUICK = Mode(((100, (1, 8)),), rounds=5, requests=12)
FULL = Mode(((100, (1, 2, 4, 8, 16, 32, 64)), (850, (1, 8, 32)), (LONG, (1, 4))), rounds=7, requests=20)


def wave(arm: str, tokens: int, concurrency: int, number: int) -> str:
    """Name of the requests of one arm in one round."""
    return f"{arm}/{tokens}/{concurrency}/{number}"


def _arms(lab: Lab, stack: ExitStack) -> dict[str, tuple[Site, str | None]]:
    """Site and URL (None: its gateway) of every arm."""
    cache = Cache(blocks=16_384)
    built = {
        GATEWAY: Arm(profile="round-robin", replicas=1, cache=cache, latency=NO_LATENCY),
        RANDOM: Arm(profile="random", replicas=1, cache=cache, latency=NO_LATENCY),
        PRECISE: Arm(profile="precise", replicas=1, cache=cache, latency=NO_LATENCY),
    }
    sites = {name: stack.enter_context(opened(lab, arm, name=name)) for name, arm in built.items()}
    direct = sites[GATEWAY]
    found: dict[str, tuple[Site, str | None]] = {DIRECT: (direct, direct.replicas[0].url)}
    for name, site in sites.items():
        found[name] = (site, None)
    return found


def act(lab: Lab) -> None:
    """Rounds of all arms at every load, after a control of the generator at the same load."""
    mode = FULL if lab.full else QUICK
    folder = lab.cluster.directory / "arms" / lab.token
    with ExitStack() as stack:
        arms = _arms(lab, stack)
        for tokens, concurrencies in mode.loads:
            prompts = {one.label: one for one in prompt_set([tokens] * 4, seed=tokens, prefix=f"t{tokens}-")}
            _fill_caches(arms, prompts)
            for concurrency in concurrencies:
                shape, timing = ClosedLoop(concurrency=concurrency), EchoTiming(ttft_ms=20, ttft_jitter=0.5, tokens=1)
                measured = control(
                    shape, 6 * tokens, folder, timing=timing, seconds=2.0, name=f"control-{tokens}-{concurrency}"
                )
                lab.notes.setdefault("control", {})[f"{tokens}/{concurrency}"] = msgspec.to_builtins(measured)
                labels = list(prompts) * ((mode.requests + 1) * concurrency)
                order = labels[: max(mode.requests, 4) * concurrency + concurrency]
                for number in range(1, mode.rounds + 1):
                    lab.progress(f"{tokens} tokens, {concurrency} streams, round {number} of {mode.rounds}")
                    turn = number % len(ARMS)
                    for name in ARMS[turn:] + ARMS[:turn]:
                        site, url = arms[name]
                        named = wave(name, tokens, concurrency, number)
                        site.load(named, prompts, order, shape, max_tokens=1, warm_up=concurrency, to=url)
        for name in (RANDOM, PRECISE):
            arms[name][0].scrape(f"{name}/end")
    lab.note(loads=[[tokens, list(concurrencies)] for tokens, concurrencies in mode.loads], rounds=mode.rounds)


def _fill_caches(arms: dict[str, tuple[Site, str | None]], prompts: dict[str, Prompt]) -> None:
    for site, _ in arms.values():
        for prompt in prompts.values():
            site.replicas[0].complete(prompt.text)
