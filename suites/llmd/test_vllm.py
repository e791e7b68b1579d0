"""A real engine behind the same gateway and picker: vLLM on the CPU, with a true prefix cache. Opt-in.

Two replicas with a tiny model. Precise routing is asked first; then, on the same engines with prompts of their own, the
control: the picker with a random configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import pytest

from gpuassay import MUST, SHOULD, Inconclusive, Measure, Note, behaviour, scenario
from gpuassay.stats.ratios import three_valued, welch_ratio
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.simulator import Cache
from gpuassay.systems.llmd.component.spec import VLLM, Arm
from gpuassay.systems.llmd.judge import metrics as routing_metrics
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set, shuffled_order
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow

pytestmark = pytest.mark.timeout(1800)  # engines take minutes to start where others compute, too

SPEC = "https://github.com/llm-d/llm-d-kv-cache"
CACHING = "https://docs.vllm.ai/en/latest/design/prefix_caching.html"
PAPER = "paper: Figure 6"

REPLICAS = 2
BLOCK = 64
"""Tokens of the engine's blocks; a token is a byte here."""
ASKS, WORDS = 16, 64
"""Prompts that one replica is warmed with, of 395 bytes: 6 full blocks."""
LONG, LONG_WORDS, ROUNDS = 8, 640, 5
"""Prompts of about 3,850 bytes (60 blocks), asked in rounds: long enough that a CPU takes time to read one."""
BLOCKS = 400
"""Of each cache: holds half of the long prompts (240 blocks) and what else is asked, but not all of them (480)."""
SLOW = 30.0
"""Seconds for one request: prefill competes with all else on this machine."""
ARMS = ("precise", "random")


SIZES = Note("bytes", dict[str, int], "bytes of each prompt, by label")


def _size(prompt: Prompt) -> int:
    return len(prompt.text.encode())


def _whole(size: int) -> int:
    """Cached tokens of a prompt asked again: all full blocks, but its last token is always computed anew."""
    return (size - 1) // BLOCK * BLOCK


def _measure(lab: RoutingLab, site: Deployment, arm: str) -> None:
    """Warm each replica with half of the prompts, then ask: the short ones once, the long ones in rounds."""
    seed = ARMS.index(arm)
    for kind, count, words, rounds in (("short", ASKS, WORDS, 1), ("long", LONG, LONG_WORDS, ROUNDS)):
        prompts = {one.label: one for one in prompt_set([words] * count, seed=seed, prefix=f"{arm}-{kind}-")}
        labels = list(prompts)
        # in a shuffled order, so that who picks in turn does not pick the right one
        order = [labels[number] for number in shuffled_order(count, 1, seed=seed)]
        site.warm({label: site.replicas[place % REPLICAS] for place, label in enumerate(order)}, prompts)
        for label, one in prompts.items():
            lab.note_under(SIZES, label, _size(one))
        site.scrape(f"{arm}-{kind}-before")
        asked = shuffled_order(count, rounds, seed=seed + 10)
        for number in range(rounds):
            some = [prompts[labels[place]] for place in asked[number * count : (number + 1) * count]]
            site.ask(f"{arm}-{kind}-{number}", some, timeout=SLOW)
        site.scrape(f"{arm}-{kind}-after")


@scenario(system="routing", needs={"vllm"}, alone="machine", timeout=900)
def real_engine(lab: RoutingLab) -> None:
    """Replicas of vLLM are warmed directly, then requested through the gateway: precise, then random routing."""
    arm = Arm(profile="precise", engine=VLLM, replicas=REPLICAS, cache=Cache(BLOCKS, BLOCK))
    control = Arm(profile="random", engine=VLLM, replicas=REPLICAS, cache=Cache(BLOCKS, BLOCK))
    if lab.mutant is not None:
        control = lab.mutant.change_arm(control)
    with opened(lab, arm) as site:
        _measure(lab, site, "precise")
        picker = site.routing.picker
        assert picker is not None
        if control.precise:  # a mutant's: then it reads the events of the same engines
            picker.restart()
            site.routing.await_events(60)
        else:
            picker.restart(profiles.configuration(control.profile, {"MODEL": site.routing.model}))
        picker.await_ready_pods(REPLICAS)
        _measure(lab, site, "random")


def _rounds(recording: RoutingRecording, arm: str, kind: str = "long") -> list[list[RequestRow]]:
    rounds = ROUNDS if kind == "long" else 1
    return [recording.asks(f"{arm}-{kind}-{number}") for number in range(rounds)]


def _seconds(rows: Sequence[RequestRow]) -> float:
    """Mean time of one-token answers: the time to the first token, which is the only one."""
    return fmean(row.took_s for row in rows)


@behaviour(
    "llmd.engine.follows-the-cache", level=MUST, spec=SPEC, mutant="picker-random", timed=True,
    red_when="with real vLLM, a request does not go to the replica that has its prefix cached",
)  # fmt: skip
def test_a_request_finds_the_engine_that_was_warmed(real_engine: RoutingRecording, measure: Measure) -> None:
    """At least 15 of 16 requests reach the one of two vLLM replicas whose prefix cache was warmed directly."""
    score = routing.direct_warm(real_engine.asks("precise-short-0"), real_engine.note(notes.WARMED), REPLICAS)
    measure.value(found=score.hits, asked=score.asks)
    assert not routing.direct_warm_findings(score, false_alarm=1e-3)


@behaviour(
    "llmd.engine.control-cannot-know", level=MUST, spec="measurement: negative control", mutant="precise-everywhere",
    red_when="an EPP that cannot know the caches finds the warm replica, so the test leaks which one it is",
)  # fmt: skip
def test_a_random_picker_does_not_find_it(real_engine: RoutingRecording, measure: Measure) -> None:
    """On the same vLLM replicas, random routing finds the warm one for 24 prompts no more often than by chance."""
    rows = [row for kind in ("short", "long") for row in real_engine.asks(f"random-{kind}-0")]
    score = routing.direct_warm(rows, real_engine.note(notes.WARMED), REPLICAS)
    measure.value(found=score.hits, asked=score.asks)
    assert not routing.control_findings(score, false_alarm=1e-3)


@behaviour(
    "llmd.engine.cached-blocks", level=MUST, spec=CACHING, mutant="picker-random", timed=True,
    red_when="vLLM's cached blocks are not the full blocks of the prompt, or vLLM tokenizes unlike the endpoint picker",
)  # fmt: skip
def test_every_full_block_is_taken_from_the_cache(real_engine: RoutingRecording) -> None:
    """A repeated prompt has exactly its full blocks cached, and as many tokens as it has bytes."""
    sizes = real_engine.note(SIZES)
    rows = real_engine.asks("precise-short-0")
    assert not routing.cached_findings(rows, {row.label: _whole(sizes[row.label]) for row in rows})
    assert [row.prompt_tokens for row in rows] == [sizes[row.label] for row in rows]


@behaviour(
    "llmd.engine.counters-exact", level=MUST, spec=CACHING, mutant="picker-random", timed=True,
    red_when="vLLM's own prefix-cache counters report other hits than the full blocks of repeated prompts",
)  # fmt: skip
def test_the_engines_counters_are_exact(real_engine: RoutingRecording, measure: Measure) -> None:
    """The prefix-cache query and hit counters of vLLM grow by exactly the tokens and full blocks of all prompts."""
    rows = real_engine.asks("precise-short-0")
    before, after = real_engine.metrics("precise-short-before"), real_engine.metrics("precise-short-after")
    sizes = [real_engine.note(SIZES)[row.label] for row in rows]
    measure.value(hit_rate=round(routing_metrics.counter_hit_rate(before, after), 4))
    expected = {"prefix_cache_queries": sum(sizes), "prefix_cache_hits": sum(map(_whole, sizes))}
    assert not routing_metrics.growth_findings(before, after, expected)


@behaviour(
    "llmd.engine.warm-is-faster", level=SHOULD, spec=PAPER, mutant="picker-random", timed=True,
    red_when="with real vLLM, precise routing has no shorter TTFT or no higher hit rate than random routing",
)  # fmt: skip
def test_precise_routing_is_faster_with_a_real_engine(real_engine: RoutingRecording, measure: Measure) -> None:
    """With real vLLM, precise routing has a higher hit rate and a shorter mean TTFT than random routing."""
    means = {arm: [_seconds(rows) for rows in _rounds(real_engine, arm)] for arm in ARMS}
    rate = {arm: routing.cached_hit_rate(row for rows in _rounds(real_engine, arm) for row in rows) for arm in ARMS}
    ratio = welch_ratio(means["random"], means["precise"])
    measure.value(
        ratio=round(ratio.ratio, 2), precise_ms=round(fmean(means["precise"]) * 1e3, 1),
        random_ms=round(fmean(means["random"]) * 1e3, 1), precise_hit_rate=round(rate["precise"], 3),
        random_hit_rate=round(rate["random"], 3),
    )  # fmt: skip
    measure.interval(ratio.low, ratio.high)
    measure.threshold(1.0)
    assert rate["precise"] > rate["random"]
    outcome = three_valued(ratio, 1.0, "higher")
    if outcome == "inconclusive":
        raise Inconclusive(f"ratio {ratio.ratio:.2f}, interval {ratio.low:.2f} to {ratio.high:.2f}, holds 1")
    assert outcome == "pass"
