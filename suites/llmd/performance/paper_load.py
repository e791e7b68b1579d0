"""The load behind the paper's claims on routing: Figures 5 to 7, each in five rounds, with a control.

The paper's job files warm the caches by one pass and then ask 256 requests at 5 to 20 streams; here it is 10 streams,
and the second pass of each arm.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from gpuassay.load.control import control
from gpuassay.load.plan import ClosedLoop
from gpuassay.load.timing import EchoTiming
from gpuassay.stats.claims import Plan
from gpuassay.systems.llmd import notes, side_by_side
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.objects.prompts import paper_prompts, prompt_set
from suites.llmd.performance import load5, load67

PLAN = Plan(looks=(5,), shares=(1.0,))
ROUNDS = PLAN.looks[-1]

AGAIN = "again"
"""Suffix of the arm that repeats another one: the control."""

TOKENS = 100
STREAMS_5 = (1, 8)
DIRECT_AGAIN = f"{load5.DIRECT}-{AGAIN}"

STREAMS_67 = 10
RANDOM, RANDOM_AGAIN, PRECISE = "random", f"random-{AGAIN}", "precise"
ARMS_67 = {RANDOM: "random", RANDOM_AGAIN: "random", PRECISE: "precise"}
"""Routing of each arm of Figures 6 and 7; all three run side by side."""


def figure_5(lab: RoutingLab) -> None:
    """Five rounds of each way at 1 and 8 streams; the direct way twice."""
    load = load5.Load(TOKENS, STREAMS_5, ROUNDS, 12)
    with ExitStack() as stack:
        arms = load5.open_arms(lab, stack)
        arms = {load5.DIRECT: arms[load5.DIRECT], DIRECT_AGAIN: arms[load5.DIRECT], **arms}
        prompts = {one.label: one for one in prompt_set([TOKENS] * 4, seed=TOKENS, prefix=f"t{TOKENS}-")}
        load5.fill_caches(arms, prompts)
        for concurrency in STREAMS_5:
            load5.rounds(lab, arms, load, concurrency, prompts)
    lab.note(load5.WAYS, list(arms))
    lab.note(load5.LOADS, [load5.Asked(load.tokens, list(load.streams), load.rounds)])


def figures_6_and_7(lab: RoutingLab) -> None:
    """Five rounds of a cold and a warm pass under random, random and precise routing, side by side."""
    timing = EchoTiming(ttft_ms=80, ttft_jitter=0.5, itl_ms=10, tokens=load67.OUTPUT_TOKENS)
    folder = lab.cluster.directory / "arms" / lab.token
    together = len(ARMS_67)
    measured = control(
        ClosedLoop(concurrency=together * STREAMS_67), 6 * 850, folder, timing=timing, seconds=2.0, processes=together,
    )  # fmt: skip
    lab.note_under(load67.CONTROL, STREAMS_67, measured)
    for number in range(1, ROUNDS + 1):
        lab.progress(f"{', '.join(ARMS_67)}: {STREAMS_67} streams each, round {number} of {ROUNDS}")
        _round(lab, number)
    lab.note(notes.WAYS, list(ARMS_67))
    lab.note(load67.CONCURRENCIES, [STREAMS_67])
    lab.note(notes.ROUNDS, ROUNDS)


def _round(lab: RoutingLab, number: int) -> None:
    prompts = {one.label: one for one in paper_prompts(scale=load67.SCALE)}
    shape = ClosedLoop(concurrency=STREAMS_67)

    def play(item: tuple[str, Deployment]) -> None:
        name, site = item
        for phase in ("cold", "warm"):
            asks = load67.order(number, phase, list(prompts))
            wave = load67.wave(name, STREAMS_67, number, phase)
            site.load(wave, prompts, asks, shape, max_tokens=load67.OUTPUT_TOKENS, timeout=30.0)

    arm = Arm(profile="random", replicas=load67.REPLICAS, cache=load67.CACHE, latency=load67.LATENCY)
    with ExitStack() as stack:
        sites = [
            (name, stack.enter_context(opened(lab, replace(arm, profile=profile), name=f"{name}-{number}")))
            for name, profile in ARMS_67.items()
        ]
        side_by_side(play, sites)
