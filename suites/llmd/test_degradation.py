"""Silent degradations of precise prefix routing: every one answers 200, and every one is found and named.

Each fault is an episode of its own: replicas are warmed, the gateway is asked, equal requests are sent together, and
what every station of the path says is noted. The diagnosis is made from the recording alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpuassay import MUST, Measure, Note, behaviour, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.diagnosis import Mark, episode, mark, until_tokens, warm_blindly
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import events_held, misspelt, read_again
from gpuassay.systems.llmd.component.simulator import NO_LATENCY
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge import scheduling as judge
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set, synthetic
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/llm-d/llm-d-kv-cache"
WANTED = "https://github.com/llm-d/llm-d/issues/2369"
"""Users ask how to tell whether KV-cache events reach the picker, and why the hit rate is low."""

REPLICAS = 4
ASKS = 12
TWINS, SETS = 8, 3


TOKENS_AGAIN = Note("tokens_again_s", float, "from the tokenizer's start until the picker gets tokens, in s")


def asks(name: str) -> list[Prompt]:
    """The prompts of an episode."""
    return prompt_set([200] * ASKS, seed=21, prefix=name)


def live_through(site: Deployment, name: str, began: Mark | None = None, *, arm: str = "arm") -> None:
    """An episode: warm (unless that was done before), ask, send equal requests together, note what is to be seen."""
    start = began or mark(site)
    if began is None:
        warm_blindly(site, asks(name))
    site.ask(f"{name}/found", asks(name))
    with events_held(site):  # else it is a race: an event may be there before the second of two equal requests
        for number in range(SETS):
            twin = synthetic(f"{name}/twin{number}", 200, seed=22)
            site.ask(f"{name}/twins", [twin] * TWINS, at_once=TWINS)
    episode(site, name, start, arm=arm)


@scenario(system="routing", timeout=45)
def faults_in_turn(lab: RoutingLab) -> None:
    """One deployment runs healthy, then with an EPP restart, a dead and a wrong tokenizer, and lost KV-cache events."""
    with opened(lab, Arm(replicas=REPLICAS, latency=NO_LATENCY)) as site:
        tokenizer, forwarder = site.routing.tokenizer, site.routing.forwarder
        assert tokenizer is not None
        assert forwarder is not None
        live_through(site, "healthy")

        start = mark(site)
        warm_blindly(site, asks("picker restarted"))
        read_again(site)
        live_through(site, "picker restarted", start)

        tokenizer.child.kill()
        live_through(site, "tokenizer dead")
        tokenizer.start()
        lab.note(TOKENS_AGAIN, until_tokens(site))
        live_through(site, "tokenizer back")

        tokenizer.restart(shift=1)
        until_tokens(site)
        live_through(site, "tokenizer wrong")
        tokenizer.restart()
        until_tokens(site)

        forwarder.child.kill()
        live_through(site, "events lost")


@scenario(system="routing", timeout=45)
def faults_from_the_start(lab: RoutingLab) -> None:
    """Misconfigured deployments: KV-event topics without a port, a misspelt parameter, and a missing feature gate."""
    common = Arm(replicas=REPLICAS, latency=NO_LATENCY)
    scorer = "precise-prefix-cache-scorer"
    built = {
        "topic without port": replace(common, simulator_env={"POD_IP": "{address}"}, probe=False),
        "parameter misspelt": replace(
            common, change_picker=misspelt(scorer, "speculativeIndexing", "speculativeIndexng")
        ),
        "gate missing": replace(common, change_picker=without_gates),
    }
    for name, arm in built.items():
        folder = name.replace(" ", "-")
        with opened(lab, arm, name=folder) as site:
            live_through(site, name, arm=folder)


def without_gates(configuration: dict[str, Any]) -> None:
    """A configuration without feature gates."""
    configuration.pop("featureGates", None)


NAMED = {
    "picker restarted": judge.PICKER_RESTARTED,
    "tokenizer dead": judge.TOKENIZER_DEAD,
    "tokenizer wrong": judge.TOKENIZER_WRONG,
    "events lost": judge.EVENTS_LOST,
}
"""Faults of `faults_in_turn`."""
BUILT = {
    "topic without port": judge.TOPIC_WITHOUT_PORT,
    "parameter misspelt": judge.PARAMETER_UNKNOWN,
    "gate missing": judge.GATE_MISSING,
}
"""Faults of `faults_from_the_start`."""


@pytest.mark.parametrize("name", ["healthy", "tokenizer back"])
@behaviour(
    "llmd.degradation.healthy-is-healthy", level=MUST, spec=WANTED, timed=True,
    red_when="a healthy path is diagnosed with a fault, or shows symptoms of one", mutant="events-lost",
)  # fmt: skip
def test_a_healthy_path_is_diagnosed_as_healthy(faults_in_turn: RoutingRecording, name: str) -> None:
    """On a healthy path requests hit warm replicas, identical requests stay together, and no fault is diagnosed."""
    found = judge.diagnose(faults_in_turn, name)
    assert not judge.diagnosis_findings(found)


def degraded(recording: RoutingRecording, name: str, fault: str, *, prefixes: bool) -> list[str]:
    """What speaks against: this fault alone is named, it shows, and yet every request was answered 200."""
    found = judge.diagnose(recording, name)
    shows = found.lost_prefixes if prefixes else found.split_twins
    told = [] if shows else [f"the fault does not show: {'; '.join(found.told)}"]
    rows = recording.asks(f"{name}/found") + recording.asks(f"{name}/twins")
    return [*judge.diagnosis_findings(found, fault), *told, *routing.failure_findings(rows)]


@behaviour(
    "llmd.degradation.picker-restarted", level=MUST, spec=WANTED, timed=True,
    red_when="missed prefixes after a restart of the endpoint picker are not attributed to the restart",
    mutant="tokenizer-off-by-one",
)  # fmt: skip
def test_a_picker_that_forgot_is_named(faults_in_turn: RoutingRecording) -> None:
    """After an EPP restart requests miss the warm replicas, all return 200, and the diagnosis names the restart."""
    assert not degraded(faults_in_turn, "picker restarted", NAMED["picker restarted"], prefixes=True)


@behaviour(
    "llmd.degradation.tokenizer-dead", level=MUST, spec=WANTED, timed=True,
    red_when="missed prefixes without a tokenization service are not attributed to it", mutant="topic-without-port",
)  # fmt: skip
def test_a_dead_tokenizer_is_named(faults_in_turn: RoutingRecording) -> None:
    """Without the tokenization service requests miss the warm replicas, return 200, and the service is diagnosed."""
    assert not degraded(faults_in_turn, "tokenizer dead", NAMED["tokenizer dead"], prefixes=True)


@behaviour(
    "llmd.degradation.tokenizer-wrong", level=MUST, spec=WANTED, timed=True,
    red_when="missed prefixes due to wrong token ids are not attributed to the tokenization service",
    mutant="topic-without-port",
)  # fmt: skip
def test_a_wrong_tokenizer_is_named(faults_in_turn: RoutingRecording) -> None:
    """With token ids off by one requests miss the warm replicas, return 200, and the wrong tokens are diagnosed."""
    assert not degraded(faults_in_turn, "tokenizer wrong", NAMED["tokenizer wrong"], prefixes=True)


@behaviour(
    "llmd.degradation.events-lost", level=MUST, spec=WANTED, timed=True,
    red_when="missed prefixes on replicas whose KV-cache events never arrive are not attributed to lost events",
    mutant="speculation-gate-missing",
)  # fmt: skip
def test_lost_events_are_named(faults_in_turn: RoutingRecording) -> None:
    """With KV-cache events lost, requests miss the warm replicas, return 200, and the loss is diagnosed."""
    assert not degraded(faults_in_turn, "events lost", NAMED["events lost"], prefixes=True)


@behaviour(
    "llmd.degradation.topic-without-port", level=MUST, spec="https://github.com/llm-d/llm-d-inference-sim/issues/624",
    red_when="missed prefixes due to KV-event topics without a port are not attributed to the topic",
    mutant="tokenizer-off-by-one", timed=True,
)  # fmt: skip
def test_a_topic_without_port_is_named(faults_from_the_start: RoutingRecording) -> None:
    """With KV-event topics that lack the port requests miss warm replicas, return 200, and the topic is diagnosed."""
    found = degraded(faults_from_the_start, "topic without port", BUILT["topic without port"], prefixes=True)
    assert not found


@behaviour(
    "llmd.degradation.parameter-misspelt", level=MUST, spec=SPEC, timed=True,
    red_when="a misspelt parameter that the endpoint picker silently ignores is not diagnosed",
    mutant="tokenizer-off-by-one",
)  # fmt: skip
def test_a_misspelt_parameter_is_named(faults_from_the_start: RoutingRecording) -> None:
    """With `speculativeIndexing` misspelt, identical requests split up, return 200, and the field is diagnosed."""
    found = degraded(faults_from_the_start, "parameter misspelt", BUILT["parameter misspelt"], prefixes=False)
    assert not found


@behaviour(
    "llmd.degradation.feature-gate-missing", level=MUST, spec=SPEC, timed=True,
    red_when="speculative indexing without effect is not attributed to its missing feature gate",
    mutant="tokenizer-off-by-one",
)  # fmt: skip
def test_a_missing_feature_gate_is_named(faults_from_the_start: RoutingRecording) -> None:
    """Without the gate of speculative indexing, identical requests split up, return 200, and the gate is diagnosed."""
    assert not degraded(faults_from_the_start, "gate missing", BUILT["gate missing"], prefixes=False)


@behaviour(
    "llmd.degradation.never-crashes", level=MUST, spec=SPEC,
    red_when="the endpoint picker stops or restarts because of a fault in its tokenizer or its event path",
    mutant="picker-crashes",
)  # fmt: skip
def test_no_fault_beside_the_picker_ends_it(faults_in_turn: RoutingRecording) -> None:
    """A dead or wrong tokenizer and lost events neither stop nor restart the EPP, and every request is answered."""
    episodes = faults_in_turn.note(notes.EPISODES)
    dead = [name for name, facts in episodes.items() if not facts["picker_alive"]]
    others = [name for name in episodes if name != "picker restarted"]
    started = [name for name in others if judge.PICKER_RESTARTED in judge.diagnose(faults_in_turn, name).faults]
    assert not dead
    assert not started
    rows = [row for name in episodes for row in faults_in_turn.asks(f"{name}/found")]
    assert not routing.failure_findings(rows)


@behaviour(
    "llmd.degradation.tokenizer-comes-back", level=MUST, spec=SPEC, timed=True,
    red_when="precise routing does not recover when its tokenization service does", mutant="events-lost",
)  # fmt: skip
def test_routing_comes_back_with_the_tokenizer(faults_in_turn: RoutingRecording, measure: Measure) -> None:
    """Within 10 s of the tokenization service's restart the EPP gets tokens, and requests hit warm replicas again."""
    seconds = faults_in_turn.note(TOKENS_AGAIN)
    measure.value(tokens_again_s=seconds)
    score = routing.direct_warm(
        faults_in_turn.asks("tokenizer back/found"), faults_in_turn.note(notes.WARMED), REPLICAS
    )
    assert not routing.direct_warm_findings(score)
    assert seconds <= 10, f"{seconds:.1f} s"
