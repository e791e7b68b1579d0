"""Precise prefix routing while caches change: eviction, clearing, restart, death and overload of replicas."""

from __future__ import annotations

import requests

from gpuassay import MUST, SHOULD, Manifest, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts.deployment import Site, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import FAKE, await_averages, pick, report, weigh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import only_findings
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.prefixes import beginning, put

SPEC = "https://github.com/llm-d/llm-d-kv-cache"

NAMES = [f"model-server-{i}" for i in range(4)]
BLOCKS = 64
TOKENS = 192
HOLDER, FALLBACK = 1, 2
"""The replica that has a prompt cached in full, and the one that has its first third."""


def held(site: Site, name: str) -> list[Prompt]:
    """Four prompts that the holder has cached in full and the fallback in part; asked once, wave `<name> before`."""
    prompts = prompt_set([TOKENS] * 4, seed=41, prefix=name)
    put(site, [beginning(one, 64) for one in prompts], FALLBACK)
    put(site, prompts, HOLDER)

    def known() -> bool:
        return {row["served_by"] for row in pick(site, f"{name} asked", prompts)} == {NAMES[HOLDER]}

    # events have passed the tap; a picker that is short of CPU time has them in its index some milliseconds later
    site.lab.observe(known, f"{name} known to the picker", timeout=3)
    pick(site, f"{name} before", prompts)
    return prompts


def seen(site: Site, kind: str, least: int) -> bool:
    """Whether the holder has published so many events (BlockRemoved: so many blocks) of a kind."""
    forwarder, topic = site.routing.forwarder, site.replicas[HOLDER].topic
    assert forwarder is not None
    lines = [line for line in forwarder.events() if line["topic"] == topic and kind in line["kinds"]]
    return sum(line["kinds"][kind] if kind == "AllBlocksCleared" else line["blocks"] for line in lines) >= least


@scenario(system="routing", timeout=40)
def caches_change(lab: RoutingLab) -> None:
    """The replica that holds prompts evicts them, clears its cache, and is killed and started again.

    Without speculation, which takes what was sent to a replica as cached there for two seconds whatever events say.
    """
    arm = Arm(
        profile="precise-no-speculation", replicas=3, gateway=None, latency=NO_LATENCY, cache=Cache(blocks=BLOCKS),
        events="forwarder", simulator_flags=("--enable-sleep-mode",), simulator_env={"VLLM_SERVER_DEV_MODE": "1"},
    )  # fmt: skip
    with opened(lab, arm) as site:
        holder = site.replicas[HOLDER]

        prompts = held(site, "evicted")
        for filler in prompt_set([TOKENS] * 6, seed=42, prefix="filler"):
            holder.complete(filler.text)
        lab.observe(lambda: seen(site, "BlockRemoved", 4 * TOKENS // 16), "blocks removed", timeout=3)
        pick(site, "evicted after", prompts)

        prompts = held(site, "cleared")
        for path in ("sleep", "wake_up"):
            requests.post(f"{holder.url}/{path}", timeout=5).raise_for_status()
        lab.observe(lambda: seen(site, "AllBlocksCleared", 1), "cache cleared", timeout=3)
        pick(site, "cleared after", prompts)

        prompts = held(site, "restarted")
        holder.restart()
        pick(site, "restarted after", prompts)
        new = prompt_set([TOKENS] * 4, seed=43, prefix="new")
        put(site, new, HOLDER)
        pick(site, "restarted new", new)


@scenario(system="routing", timeout=40)
def overloaded(lab: RoutingLab) -> None:
    """The replica that has prompts cached reports no load, a queue, and a queue with a full cache."""
    arm = Arm(
        profile="precise-load", replicas=3, gateway=None, latency=NO_LATENCY, simulator_flags=FAKE,
        change_picker=weigh(precise_prefix_cache_scorer=1.5),
    )  # fmt: skip
    with opened(lab, arm) as site:
        for wave, waiting, usage in (("idle", 0, 0.0), ("queue", 12, 0.0), ("queue and cache", 12, 0.9)):
            prompts = prompt_set([TOKENS] * 6, seed=44, prefix=wave)
            put(site, prompts, HOLDER)
            report(site.replicas[HOLDER], waiting_requests=waiting, kv_cache_usage=usage)
            await_averages(site, queue=waiting / 3, cache=usage / 3)
            pick(site, wave, prompts)


@scenario(system="routing", timeout=40)
def replica_dies(lab: RoutingLab) -> None:
    """One of four replicas is killed; the others are warmed at once, with events by forwarder and straight."""
    for events in ("forwarder", "direct"):
        with opened(lab, Arm(replicas=4, gateway=None, latency=NO_LATENCY, events=events), name=events) as site:
            dead, *others = site.replicas
            dead.kill()
            site.routing.endpoints.set_ready(dead.name, False)
            prompts = prompt_set([TOKENS] * 12, seed=45, prefix=events)
            chosen = {one.label: others[i % 3] for i, one in enumerate(prompts)}
            site.warm(chosen, {one.label: one for one in prompts})
            pick(site, events, prompts)


def moved_findings(recording: RoutingRecording, name: str) -> list[str]:
    """What speaks against: prompts were found on the holder, and then on the fallback, all of them."""
    before, after = recording.asks(f"{name} before"), recording.asks(f"{name} after")
    return only_findings(before, {NAMES[HOLDER]}) + only_findings(after, {NAMES[FALLBACK]})


@behaviour(
    "llmd.precise.eviction-ends-stickiness", level=MUST, spec=SPEC, timed=True,
    red_when="a prompt is sent to a replica that has evicted it", mutant="never-evicts",
)  # fmt: skip
def test_evicted_prompts_go_elsewhere(caches_change: RoutingRecording) -> None:
    """Once a replica has evicted prompts, they go to the one that still has their beginning."""
    assert not moved_findings(caches_change, "evicted")


@behaviour(
    "llmd.precise.clear-ends-stickiness", level=MUST, spec="https://github.com/llm-d/llm-d-kv-cache/pull/593",
    red_when="a prompt is sent to a replica that has cleared its cache", mutant="never-evicts", timed=True,
)  # fmt: skip
def test_prompts_of_a_cleared_cache_go_elsewhere(caches_change: RoutingRecording) -> None:
    """Once a replica has cleared its cache (sleep), its prompts go to the one that still has their beginning."""
    assert not moved_findings(caches_change, "cleared")


@known_defect(
    "https://github.com/llm-d/llm-d-router/issues/2853",
    "the index keeps the blocks of an engine that was restarted under the same address",
)
@behaviour(
    "llmd.precise.restart-ends-stickiness", level=SHOULD, spec=SPEC,
    red_when="a prompt is sent to a replica that has lost its cache by a restart",
)  # fmt: skip
def test_prompts_of_a_restarted_replica_go_elsewhere(caches_change: RoutingRecording) -> None:
    """After a replica was restarted, its prompts go to the one that still has their beginning."""
    assert not only_findings(caches_change.asks("restarted after"), {NAMES[FALLBACK]})


@behaviour(
    "llmd.precise.restarted-replica-is-heard", level=MUST, spec=SPEC, timed=True,
    red_when="a replica that was restarted is never heard of again", mutant="events-lost",
)  # fmt: skip
def test_a_restarted_replica_is_heard_again(caches_change: RoutingRecording) -> None:
    """What a restarted replica caches draws requests as it did before the restart, and none fails."""
    assert not only_findings(caches_change.asks("restarted before"), {NAMES[HOLDER]})
    assert not routing.failure_findings(caches_change.asks("restarted after"))
    assert not only_findings(caches_change.asks("restarted new"), {NAMES[HOLDER]})


@behaviour(
    "llmd.precise.cache-outweighs-a-queue", level=MUST, spec=SPEC, timed=True,
    red_when="a cached prefix does not count for what it weighs", mutant="prefix-ignored",
)  # fmt: skip
def test_a_cached_prefix_outweighs_a_queue(overloaded: RoutingRecording) -> None:
    """At weights of 1.5 to 1, a cached prompt goes where it is cached, though a dozen requests wait there."""
    rows = overloaded.asks("idle") + overloaded.asks("queue")
    assert not only_findings(rows, {NAMES[HOLDER]})


@behaviour(
    "llmd.precise.overload-outweighs-the-cache", level=MUST, spec=SPEC,
    red_when="a cached prompt is sent to a replica whose load weighs more", mutant="load-ignored",
)  # fmt: skip
def test_overload_outweighs_a_cached_prefix(overloaded: RoutingRecording) -> None:
    """With a queue and a KV cache filled to 90 %, which weigh more together, it goes to another replica."""
    assert not only_findings(overloaded.asks("queue and cache"), {NAMES[0], NAMES[2]})


def found_findings(rows: list[Manifest], warmed: dict[str, str]) -> list[str]:
    """What speaks against finding the replicas that were warmed, three being left."""
    return routing.direct_warm_findings(routing.direct_warm(rows, warmed, 3), allowed=0)


@behaviour(
    "llmd.precise.death-leaves-others-heard", level=MUST, spec=SPEC, timed=True,
    red_when="events of other replicas are lost when one dies, although a forwarder stands between",
    mutant="direct-events",
)  # fmt: skip
def test_others_are_heard_when_a_replica_dies(replica_dies: RoutingRecording) -> None:
    """Behind a forwarder, what other replicas cache right after one died draws requests; none fails without either."""
    assert not routing.failure_findings(replica_dies.asks("direct"))
    assert not found_findings(replica_dies.asks("forwarder"), dict(replica_dies.notes["warmed"]))


@known_defect(
    "https://github.com/llm-d/llm-d-router/issues/1737",
    "when a publisher breaks off, the picker closes its socket and binds again after five seconds; events are lost",
)
@behaviour(
    "llmd.precise.death-leaves-others-heard-directly", level=SHOULD, spec=SPEC,
    red_when="events of other replicas are lost when one dies", mutant="forwarder-everywhere",
)  # fmt: skip
def test_others_are_heard_directly_when_a_replica_dies(replica_dies: RoutingRecording) -> None:
    """With events straight to the picker's socket, what other replicas cache right after one died draws requests."""
    assert not found_findings(replica_dies.asks("direct"), dict(replica_dies.notes["warmed"]))
