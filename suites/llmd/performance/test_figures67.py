"""Figures 6 and 7: TTFT and time to the last token under random and under cache-aware routing."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay import INFO, MUST, SHOULD, Measure, behaviour, scenario
from gpuassay.load.gate import require_valid
from gpuassay.presence import must_have
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.metrics import counter_hit_rate
from gpuassay.systems.llmd.judge.performance import GainBars, gain, gain_verdicts
from gpuassay.systems.llmd.model.paper import FIGURE_6, FIGURE_7
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.performance import exhibits, load67
from suites.llmd.performance.limits import LIMITS, settle
from suites.llmd.performance.load67 import wave

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

PAPER = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Figures 6 and 7"
CACHE = "https://docs.vllm.ai/en/stable/features/automatic_prefix_caching/"
SLACK = LIMITS.limit("hit_rate_slack")
WARM = GainBars(LIMITS.limit("warm_mean_ratio"), LIMITS.limit("warm_p99_ratio"), LIMITS.limit("warm_mean_e2e_s"))
COLD = GainBars(LIMITS.limit("cold_mean_ratio"))


@scenario(system="routing", alone="machine", timeout=7200)
def passes(lab: RoutingLab) -> None:
    """32 prompts, each requested 8 times in a cold and a warm pass, under random, approximate and precise routing."""
    load67.act(lab)


def rows_of(recording: RoutingRecording, arm: str, concurrency: int, phase: str) -> list[list[Any]]:
    """The rounds of one arm at one concurrency."""
    rounds = recording.note(notes.ROUNDS)
    return [recording.asks(wave(arm, concurrency, number, phase)) for number in range(1, rounds + 1)]


def most(recording: RoutingRecording) -> int:
    """The highest concurrency, at which figures are drawn and claims judged."""
    return int(max(recording.note(load67.CONCURRENCIES)))


def require_generator(recording: RoutingRecording, concurrency: int, effect_s: float, at: float) -> None:
    """Raise Inconclusive if the load generator's own error is too large for an effect of so many seconds."""
    control = recording.note(load67.CONTROL)[concurrency]
    require_valid(control, effect_s * 1e3, at=at)


@behaviour(
    "llmd.performance.all-answered", level=MUST, spec=PAPER,
    red_when="a request is lost, fails, or bypasses the endpoint picker", mutant="picker-not-asked",
)  # fmt: skip
def test_every_request_is_answered_through_the_picker(passes: RoutingRecording, measure: Measure) -> None:
    """All 256 requests of every pass are answered, and where there is an endpoint picker, it was consulted for each."""
    requests = load67.load_of(passes).requests
    for arm in passes.note(notes.WAYS):
        for concurrency in passes.note(load67.CONCURRENCIES):
            for phase in ("cold", "warm"):
                for rows in rows_of(passes, arm, concurrency, phase):
                    assert not routing.count_findings(rows, requests)
                    assert not routing.failure_findings(rows)
                    if arm != "round-robin":
                        assert not routing.asked_findings(rows)
    exhibits.show(passes, measure)


@pytest.mark.parametrize("arm", ["random", "approximate", "precise"])
@behaviour(
    "llmd.performance.hit-rate", level=MUST, spec=CACHE,
    red_when="the share of cached tokens differs from what the model of the routing policy predicts",
    mutant="picker-random-or-precise",
)  # fmt: skip
def test_the_hit_rate_is_what_the_model_expects(passes: RoutingRecording, measure: Measure, arm: str) -> None:
    """By the model servers' counters, the hit rate of cold and warm passes is what a model of the policy predicts."""
    load = load67.load_of(passes)
    must_have(range(passes.note(notes.ROUNDS)), "rounds")
    for concurrency in must_have(passes.note(load67.CONCURRENCIES), "numbers of streams"):
        for number in range(1, passes.note(notes.ROUNDS) + 1):
            before = "begin"
            for phase, model in zip(("cold", "warm"), load67.modelled(arm, concurrency, number, load), strict=True):
                earlier, later = (passes.metrics(wave(arm, concurrency, number, one)) for one in (before, phase))
                rate = counter_hit_rate(earlier, later)
                measure.value(**{f"{phase}_hit_rate": rate, f"{phase}_model": model.hit_rate.mean})
                assert not routing.hit_rate_findings(rate, model.hit_rate, f"{phase} hit rate of {arm}", SLACK)
                before = phase


@behaviour(
    "llmd.performance.one-replica-per-prompt", level=MUST, spec=PAPER,
    red_when="a prompt is served by several replicas although one has it cached", mutant="picker-random",
)  # fmt: skip
def test_a_prompt_stays_on_one_replica_under_precise_routing(passes: RoutingRecording, measure: Measure) -> None:
    """Under precise routing with warm caches, all 8 requests for a prompt go to one replica."""
    if load67.load_of(passes).alike:
        pytest.skip(
            "prompts of the user's file begin alike: they crowd on one replica, whose cache gives some up again"
        )
    for rows in rows_of(passes, "precise", most(passes), "warm"):
        measure.value(replicas_per_prompt=routing.replicas_per_prompt(rows))
        assert not routing.stickiness_findings(rows)


def _judge(recording: RoutingRecording, measure: Measure, phase: str, name: str, bars: GainBars) -> None:
    concurrency = most(recording)
    if len(load67.load_of(recording).prompts) < 2:
        pytest.skip("the user's file has a single prompt: an interval needs two")
    precise, random = (rows_of(recording, arm, concurrency, phase) for arm in ("precise", "random"))
    found = gain(phase, concurrency, precise, random)
    judged = gain_verdicts(found, bars)[name]
    effect = getattr(found, name)
    measure.value(value=effect.value, rounds=recording.note(notes.ROUNDS))
    measure.interval(effect.low, effect.high)
    measure.threshold(getattr(bars, name))
    # the generator's error must be small against the shorter of the two times
    require_generator(recording, concurrency, 0.08, 0.99 if name.startswith("p99") else 0.5)
    if load67.load_of(recording).own:
        pytest.skip("asked with the user's own prompts: the threshold is one of the paper's load")
    settle(judged, recording)


@behaviour(
    "llmd.performance.figure-6-mean", level=SHOULD, spec=PAPER,
    red_when="precise routing does not bring the mean TTFT of a warm pass down to a quarter", mutant="picker-random",
)  # fmt: skip
def test_precise_routing_divides_the_warm_mean_ttft(passes: RoutingRecording, measure: Measure) -> None:
    """With warm caches, mean TTFT under random routing is at least 4 times that under precise (paper: 6.25)."""
    measure.value(paper=FIGURE_6.mean_ratio)
    _judge(passes, measure, "warm", "mean_ratio", WARM)


@behaviour(
    "llmd.performance.figure-6-p99", level=SHOULD, spec=PAPER,
    red_when="precise routing does not bring the p99 TTFT of a warm pass down to a fifth",
    mutant="picker-random",
)  # fmt: skip
def test_precise_routing_divides_the_warm_p99_ttft(passes: RoutingRecording, measure: Measure) -> None:
    """With warm caches, p99 TTFT under random routing is at least 5 times that under precise (paper: up to 20)."""
    measure.value(paper=FIGURE_6.p99_ratio_up_to)
    _judge(passes, measure, "warm", "p99_ratio", WARM)


@behaviour(
    "llmd.performance.figure-6-cold", level=SHOULD, spec=PAPER,
    red_when="precise routing does not cut the mean TTFT of a cold pass by a factor of 2.5", mutant="picker-random",
)  # fmt: skip
def test_precise_routing_gains_while_caches_fill(passes: RoutingRecording, measure: Measure) -> None:
    """With cold caches, mean TTFT under random routing is at least 2.5 times that under precise routing."""
    _judge(passes, measure, "cold", "mean_ratio", COLD)


@behaviour(
    "llmd.performance.figure-7", level=INFO, spec=PAPER,
    red_when="with warm caches, requests end later under precise than under random routing", mutant="picker-random",
)  # fmt: skip
def test_precise_routing_ends_requests_earlier(passes: RoutingRecording, measure: Measure) -> None:
    """With warm caches, requests end on average no later under precise than under random routing."""
    measure.value(paper_s=FIGURE_7.mean_difference_ms / 1e3)
    _judge(passes, measure, "warm", "mean_e2e", WARM)
