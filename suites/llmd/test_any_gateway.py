"""What holds at every gateway that claims to send a prompt where it has been before, or at any gateway at all.

Acted out on an arm of ours, and with `--gateway-url` at somebody's, by requests and the model servers' own counters.
"""

from __future__ import annotations

import msgspec
import pytest

from gpuassay import MUST, Measure, Note, behaviour, scenario
from gpuassay.load.plan import ClosedLoop
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.anywhere import claimed
from gpuassay.systems.llmd.acts.deployment import fresh_seed, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import outside, routing
from gpuassay.systems.llmd.objects.prompt_files import given_prompts
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.claims import REMEMBER

SPEC = "https://github.com/llm-d/llm-d-kv-cache"
POOL = "https://gateway-api-inference-extension.sigs.k8s.io/api-types/inferencepool/"

PROMPTS, REPEATS = 8, 3
TOKENS = 400
MOST, MOST_TOKENS = 64, 32_768
"""Prompts of the user's file (`--prompts`) that are streamed, and tokens of their answers together."""
STREAMED, LEAST_STREAMED = 24, 8
"""Output tokens of a stream whose prompt does not tell its own, and of the shortest that shows whether it flows."""
SECONDS_PER_TOKEN = 0.2
"""That a stream may take beside the 30 s of every request."""
LEAST_HITS = 0.6
"""Of all prompt tokens that were asked. Precise routing hits all full blocks in 3 of 4 asks: 0.72 with blocks of 16,
0.65 with blocks of 64. A router that guesses is expected at 0.53 on two replicas, at 0.32 on four."""


class OwnPrompts(msgspec.Struct, frozen=True):
    """What is streamed of the user's prompts.

    Attributes:
        given: how many there are.
        streamed: labels of those that are streamed.
    """

    given: int
    streamed: list[str]


OWN_PROMPTS = Note("own_prompts", OwnPrompts, "the user's prompts, where they were given", default=None)


@scenario(system="routing", outside=True, timeout=60)
def asked_again(lab: RoutingLab) -> None:
    """Eight new prompts are requested four times each; then eight, or the user's, are streamed at concurrency 4."""
    seed = fresh_seed(lab, 41)
    prompts = prompt_set([TOKENS] * PROMPTS, seed=seed, prefix="again")
    claim = claimed(lab)
    lab.note(notes.CLAIM, claim)
    with opened(lab, Arm(profile=claim, replicas=4)) as site:
        site.scrape("before")
        for number in range(1 + REPEATS):
            site.ask("first" if number == 0 else "repeat", prompts)
        site.scrape("after")
        own = given_prompts()
        chosen = streamed(own)
        if own:
            lab.note(OWN_PROMPTS, OwnPrompts(len(own), [one.label for one in chosen]))
            lab.progress(f"{len(chosen)} of the {len(own)} prompts of --prompts are streamed")
        streams = {one.label: one for one in chosen or prompt_set([TOKENS] * PROMPTS, seed=seed, prefix="stream")}
        longest = max(one.max_tokens or STREAMED for one in streams.values())
        timeout = 30 + SECONDS_PER_TOKEN * longest
        site.load("streams", streams, list(streams), ClosedLoop(4), max_tokens=STREAMED, timeout=timeout)


def _remembers(recording: RoutingRecording) -> None:
    """Skip by type where the picker is not said to send a prompt where it has been before."""
    claim = recording.note(notes.CLAIM)
    if claim not in REMEMBER:
        pytest.skip(f"from outside: a picker that is said to be {claim} looks at no prompt (--gateway-profile)")


def streamed(own: list[Prompt]) -> list[Prompt]:
    """Those of the user's prompts that are streamed: not too many, and with answers long enough to tell anything."""
    found: list[Prompt] = []
    tokens = 0
    for one in own:
        length = one.max_tokens or STREAMED
        if length < LEAST_STREAMED or tokens + length > MOST_TOKENS:
            continue
        found.append(one)
        tokens += length
        if len(found) == MOST:
            break
    return found


@behaviour(
    "llmd.any-gateway.repeat-sticks", level=MUST, spec=SPEC, timed=True,
    red_when="a prompt goes to another replica than the one that has just cached it", mutant="picker-random",
)  # fmt: skip
def test_a_prompt_that_is_asked_again_goes_where_it_went(asked_again: RoutingRecording) -> None:
    """Each of 8 prompts is served by the same replica all four times."""
    _remembers(asked_again)
    rows = asked_again.asks("first") + asked_again.asks("repeat")
    assert not routing.failure_findings(rows) + routing.stickiness_findings(rows)


@behaviour(
    "llmd.any-gateway.counted-hits", level=MUST, spec=SPEC, timed=True,
    red_when="the model servers' own counters show a lower hit rate than repeated prompts must give",
    mutant="picker-random",
)  # fmt: skip
def test_the_model_servers_count_the_hits(asked_again: RoutingRecording, measure: Measure) -> None:
    """By the model servers' own counters, or else their answers, 60 % of all prompt tokens are prefix-cache hits."""
    _remembers(asked_again)
    rows = asked_again.asks("first") + asked_again.asks("repeat")
    rate, told_by = outside.hit_rate(rows, asked_again.metrics("before"), asked_again.metrics("after"))
    measure.value(hit_rate=rate, told_by=told_by)
    if untold := outside.restarts_untold(asked_again.outside, asked_again.metrics("after")):
        measure.value(restarts_untold=", ".join(untold))
    measure.threshold(LEAST_HITS)
    assert rate >= LEAST_HITS, f"hit rate {rate:.3f} by the model servers' {told_by}, expected at least {LEAST_HITS}"


@behaviour(
    "llmd.any-gateway.streams-flow", level=MUST, spec="OpenAI API: streaming", timed=True,
    red_when="the gateway buffers a streamed response until it is complete", mutant="gateway-buffers",
)  # fmt: skip
def test_streams_are_passed_on_as_they_come(asked_again: RoutingRecording) -> None:
    """No stream arrives in one piece: at least half of its tokens after the first arrive separately in time."""
    assert not outside.stream_findings(asked_again.asks("streams"))


@behaviour(
    "llmd.any-gateway.pool-status", level=MUST, spec=POOL,
    red_when="the InferencePool's status has a parent that is not accepted or whose references do not resolve",
)  # fmt: skip
def test_the_pool_is_accepted(asked_again: RoutingRecording) -> None:
    """In the InferencePool's status, the conditions Accepted and ResolvedRefs are True for every parent."""
    pool = asked_again.outside.pool if asked_again.outside else {}
    if not outside.parents(pool):
        pytest.skip("no gateway controller has written a status of the InferencePool")
    assert not outside.pool_findings(pool)
