"""Precise prefix routing: a request goes where its prefix is cached, and nowhere else.

The decisive scenario warms a replica behind the gateway's back. Only a picker that knows the caches can find it: one
that remembers its own picks, or guesses, cannot. Every arm that must not find it stands beside as a control.
"""

from __future__ import annotations

import random

import pytest

from gpuassay import MUST, Measure, Note, behaviour, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import fresh_seed, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import outside, routing
from gpuassay.systems.llmd.judge.scheduling_picks import drawn_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/llm-d/llm-d-kv-cache"

ASKS = 16
TOKENS = 200
BLOCKS = TOKENS // 16
ARMS = ("precise", "random", "approximate")


ASKED_OF = Note("replicas", int, "how many replicas the pool has", default=8)


def _arms_of_ours(recording: RoutingRecording, why: str) -> None:
    """Skip by type what cannot be judged of a recording of somebody's gateway; `why` says what is lacking there."""
    if recording.outside is not None:
        pytest.skip(f"from outside: {why}")


@scenario(system="routing", outside=True, timeout=90)
def warmed_directly(lab: RoutingLab) -> None:
    """Each of 16 prompts is sent to one replica directly, then to the gateway: precise routing and two controls."""
    for profile in ARMS if lab.gateway is None else ARMS[:1]:
        seed = fresh_seed(lab, ARMS.index(profile))
        with opened(lab, Arm(profile=profile), name=profile) as site:
            replicas = site.replicas
            asks = ASKS if len(replicas) > 2 else 2 * ASKS  # of two, chance finds 16 too often
            prompts = {prompt.label: prompt for prompt in prompt_set([TOKENS] * asks, seed=seed, prefix=profile)}
            chosen = [replicas[i % len(replicas)] for i in range(asks)]
            random.Random(seed).shuffle(chosen)  # in turn, round robin would answer in the same turn
            lab.note(ASKED_OF, len(replicas))
            site.warm(dict(zip(prompts, chosen, strict=True)), prompts)
            site.ask(profile, list(prompts.values()))


@behaviour(
    "llmd.precise.follows-the-cache", level=MUST, spec=SPEC, timed=True,
    red_when="a request does not go to the replica that has its prefix cached", mutant="picker-random",
)  # fmt: skip
def test_a_request_goes_to_the_replica_that_was_warmed_directly(
    warmed_directly: RoutingRecording, measure: Measure
) -> None:
    """At least 15 of 16 requests to the gateway reach the replica whose prefix cache was warmed directly."""
    replicas = warmed_directly.note(ASKED_OF)
    score = routing.direct_warm(warmed_directly.asks("precise"), warmed_directly.note(notes.WARMED), replicas)
    measure.value(found=score.hits, asked=score.asks)
    found = routing.direct_warm_findings(score)
    assert not found, "; ".join([*found, *outside.why(warmed_directly, score.asks)])


@behaviour(
    "llmd.precise.cached-tokens", level=MUST, spec=SPEC, timed=True,
    red_when="the picked replica no longer has the prefix cached, or not all of its full blocks", mutant="events-lost",
)  # fmt: skip
def test_every_full_block_of_a_warmed_prompt_is_a_hit(warmed_directly: RoutingRecording) -> None:
    """Of 200 prompt tokens, the 12 full blocks of 16 are prefix-cache hits."""
    _arms_of_ours(warmed_directly, "how many tokens a prompt has is the model's own matter")
    rows = warmed_directly.asks("precise")
    assert not routing.cached_findings(rows, {row.label: BLOCKS * 16 for row in rows})


@pytest.mark.parametrize("profile", ARMS[1:])
@behaviour(
    "llmd.precise.controls-cannot-know", level=MUST, spec="measurement: negative control",
    red_when="an EPP that cannot know the caches finds the warm replica, so the test leaks which one it is",
    mutant="precise-everywhere",
)  # fmt: skip
def test_a_picker_that_cannot_know_the_caches_does_not_find_it(warmed_directly: RoutingRecording, profile: str) -> None:
    """Random and approximate routing find the warm replica no more often than by chance."""
    _arms_of_ours(
        warmed_directly, f"no gateway with a picker of profile {profile} stands beside it; chance is the bound"
    )
    assert not drawn_findings(warmed_directly.asks(profile), warmed_directly.note(notes.WARMED), 8)


@pytest.mark.parametrize("profile", ARMS)
@behaviour(
    "llmd.precise.picker-is-asked", level=MUST, spec=SPEC,
    red_when="the gateway answers without consulting the endpoint picker", mutant="picker-not-asked",
)  # fmt: skip
def test_the_picker_is_asked_for_every_answer(warmed_directly: RoutingRecording, profile: str) -> None:
    """Every response carries the header that only the endpoint picker adds."""
    if profile != "precise":
        _arms_of_ours(warmed_directly, f"no gateway with a picker of profile {profile} stands beside it")
    assert not routing.asked_findings(warmed_directly.asks(profile))
