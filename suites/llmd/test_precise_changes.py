"""Precise prefix routing while caches change: eviction, clearing, restart, death and overload of replicas."""

from __future__ import annotations

import requests

from gpuassay import MUST, SHOULD, behaviour, known_defect, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import FAKE, await_averages, pick, report, weigh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import only_findings
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from suites.llmd.prefixes import beginning, put

SPEC = "https://github.com/llm-d/llm-d-kv-cache"

NAMES = [f"model-server-{i}" for i in range(4)]
BLOCKS = 64
TOKENS = 192
HOLDER, FALLBACK = 1, 2
"""The replica that has a prompt cached in full, and the one that has its first third."""


def held(site: Deployment, name: str) -> list[Prompt]:
    """Four prompts that the holder has cached in full and the fallback in part; asked once, wave `<name> before`."""
    prompts = prompt_set([TOKENS] * 4, seed=41, prefix=name)
    put(site, [beginning(one, 64) for one in prompts], FALLBACK)
    put(site, prompts, HOLDER)

    def known() -> bool:
        return {row.served_by for row in pick(site, f"{name} asked", prompts)} == {NAMES[HOLDER]}

    # events have passed the tap; a picker that is short of CPU time has them in its index some milliseconds later
    site.lab.observe(known, f"{name} known to the picker", timeout=3)
    pick(site, f"{name} before", prompts)
    return prompts


def seen(site: Deployment, kind: str, least: int) -> bool:
    """Whether the holder has published so many events (BlockRemoved: so many blocks) of a kind."""
    forwarder, topic = site.routing.forwarder, site.replicas[HOLDER].topic
    assert forwarder is not None
    lines = [line for line in forwarder.events() if line["topic"] == topic and kind in line["kinds"]]
    return sum(line["kinds"][kind] if kind == "AllBlocksCleared" else line["blocks"] for line in lines) >= least


@scenario(system="routing", timeout=40)
def caches_change(lab: RoutingLab) -> None:
    """The replica that holds prompts evicts them, clears its cache, and is killed and started again.

    Without speculative indexing, which for two seconds takes what was sent to a replica as cached there.
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
    """One of four replicas is killed, and the others are warmed at once, with KV-cache events forwarded or direct."""
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
    """Prompts that a replica has evicted go to the replica that still has their beginning cached."""
    assert not moved_findings(caches_change, "evicted")


@behaviour(
    "llmd.precise.clear-ends-stickiness", level=MUST, spec="https://github.com/llm-d/llm-d-kv-cache/pull/593",
    red_when="a prompt is sent to a replica that has cleared its cache", mutant="never-evicts", timed=True,
)  # fmt: skip
def test_prompts_of_a_cleared_cache_go_elsewhere(caches_change: RoutingRecording) -> None:
    """Prompts of a replica that cleared its cache (sleep) go to the one that still has their beginning cached."""
    assert not moved_findings(caches_change, "cleared")


@known_defect(
    "https://github.com/llm-d/llm-d-router/issues/2853",
    "the index keeps the blocks of an engine that was restarted under the same address",
    shows=r"picks to be model-server-2, seen \d+ elsewhere: #\d+ \w+: 200 by",
)
@behaviour(
    "llmd.precise.restart-ends-stickiness", level=SHOULD, spec=SPEC,
    red_when="a prompt is sent to a replica that lost its cache in a restart",
)  # fmt: skip
def test_prompts_of_a_restarted_replica_go_elsewhere(caches_change: RoutingRecording) -> None:
    """After a replica restarts, its prompts go to the replica that still has their beginning cached."""
    assert not only_findings(caches_change.asks("restarted after"), {NAMES[FALLBACK]})


@behaviour(
    "llmd.precise.restarted-replica-is-heard", level=MUST, spec=SPEC, timed=True,
    red_when="KV-cache events of a replica are never taken into account again after its restart", mutant="events-lost",
)  # fmt: skip
def test_a_restarted_replica_is_heard_again(caches_change: RoutingRecording) -> None:
    """Prompts that a replica caches after its restart are routed to it, and no request fails."""
    assert not only_findings(caches_change.asks("restarted before"), {NAMES[HOLDER]})
    assert not routing.failure_findings(caches_change.asks("restarted after"))
    assert not only_findings(caches_change.asks("restarted new"), {NAMES[HOLDER]})


@behaviour(
    "llmd.precise.cache-outweighs-a-queue", level=MUST, spec=SPEC, timed=True,
    red_when="a cached prefix does not count with its configured weight", mutant="prefix-ignored",
)  # fmt: skip
def test_a_cached_prefix_outweighs_a_queue(overloaded: RoutingRecording) -> None:
    """With prefix to queue weights of 1.5 to 1, a cached prompt goes to its replica though 12 requests wait there."""
    rows = overloaded.asks("idle") + overloaded.asks("queue")
    assert not only_findings(rows, {NAMES[HOLDER]})


@behaviour(
    "llmd.precise.overload-outweighs-the-cache", level=MUST, spec=SPEC,
    red_when="a cached prompt is sent to its replica although the load there weighs more", mutant="load-ignored",
)  # fmt: skip
def test_overload_outweighs_a_cached_prefix(overloaded: RoutingRecording) -> None:
    """A queue and a 90 % full KV cache together outweigh a cached prefix, so the request goes elsewhere."""
    assert not only_findings(overloaded.asks("queue and cache"), {NAMES[0], NAMES[2]})


def found_findings(rows: list[RequestRow], warmed: dict[str, str]) -> list[str]:
    """What speaks against finding the replicas that were warmed, three being left."""
    return routing.direct_warm_findings(routing.direct_warm(rows, warmed, 3), allowed=0)


@behaviour(
    "llmd.precise.death-leaves-others-heard", level=MUST, spec=SPEC, timed=True,
    red_when="KV-cache events of other replicas are lost when one dies, in spite of a forwarder",
    mutant="direct-events",
)  # fmt: skip
def test_others_are_heard_when_a_replica_dies(replica_dies: RoutingRecording) -> None:
    """Via a forwarder, KV-cache events sent right after another replica died still count, and no request fails."""
    assert not routing.failure_findings(replica_dies.asks("direct"))
    assert not found_findings(replica_dies.asks("forwarder"), replica_dies.note(notes.WARMED))


@known_defect(
    "https://github.com/llm-d/llm-d-router/issues/1737",
    "when a publisher breaks off, the picker closes its socket and binds again after five seconds; events are lost",
    shows=r"requests on the replica warmed directly, seen \d+ .*: 200 by",
)
@behaviour(
    "llmd.precise.death-leaves-others-heard-directly", level=SHOULD, spec=SPEC,
    red_when="KV-cache events of other replicas are lost when one dies", mutant="forwarder-everywhere",
)  # fmt: skip
def test_others_are_heard_directly_when_a_replica_dies(replica_dies: RoutingRecording) -> None:
    """Sent directly to the EPP, KV-cache events right after another replica died still count."""
    assert not found_findings(replica_dies.asks("direct"), replica_dies.note(notes.WARMED))
