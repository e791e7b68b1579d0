"""MIG places as counters of a GPU: the real scheduler gives out what the geometry allows, all of it, and nothing else.

Every place is a device of a ResourceSlice (gate DRAPartitionableDevices). Scheduler, API server and the controller of
claims are upstream's; the GPUs are objects that this suite publishes, and no kubelet prepares a claim.
"""

from __future__ import annotations

import random

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour, scenario
from gpuassay.gpus import gpu_model
from gpuassay.presence import must_have
from gpuassay.systems.slices.acts import counters
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.model.paper import GPU_MODEL, LARGE, MEDIUM
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.workloads import claims as resource_slices

KEP = "https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/4815-dra-partitionable-devices"
CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
A100 = gpu_model(GPU_MODEL)
SEED = 0
CROWD = 30
"""Pods of all profiles, a profile as often as a GPU may hold it: more than twice as many as fit."""
KINDS = 5
"""Profiles of which some must stand at once, or the geometry says little."""
FULL, REFILLED, END = "full", "refilled", "end"


@scenario(needs=counters.NEEDS, timeout=60)
def crowd(lab: Lab) -> None:
    """Pods of every profile are created at once for three GPU models; half of those placed are deleted, then all."""
    gpus = [gpu_model(name) for name in ("a100-40gb", "h100-80gb", "a30-24gb")]
    profiles = [one.name for model in gpus for one in model.profiles for _ in range(one.most)]
    source = random.Random(SEED)
    with counters.published(lab, gpus) as site:
        for number in range(CROWD):
            site.ask(f"p-{number}", source.choice(profiles))
        site.observe_settled(FULL)
        site.delete(*site.placed()[::2])
        site.observe_settled(REFILLED)
        site.finish()


@behaviour(
    "slices.counters.legal", level=MUST, spec=KEP,
    red_when="two claims hold placements that overlap, or one that the hardware does not have",
    mutant="counter-forgotten",
)  # fmt: skip
def test_what_is_given_out_is_always_a_legal_geometry(crowd: SlicesRecording, measure: Measure) -> None:
    """At every change of a claim, all placements allocated together form a geometry that NVIDIA's tables allow."""
    assert judged.geometry_findings(crowd) == [], crowd.timeline_text()
    full = judged.held(crowd, crowd.mark(FULL))
    assert len(judged.by_profile(full)) >= KINDS, full
    measure.value(asked=CROWD, placed=len(full), profiles=len(judged.by_profile(full)))


@behaviour(
    "slices.counters.profile", level=MUST, spec=KEP,
    red_when="a pod runs without a slice, or with one of another profile", mutant="selectors-lost",
)  # fmt: skip
def test_every_pod_holds_the_profile_that_it_asked_for(crowd: SlicesRecording) -> None:
    """Every bound pod holds one placement, of the profile that its claim selects by a CEL expression."""
    at = crowd.mark(FULL)
    assert judged.wanted_findings(crowd, at) == [], crowd.timeline_text()
    assert judged.ghost_findings(crowd, at) == [], crowd.timeline_text()


@behaviour(
    "slices.counters.exhausted", level=MUST, spec=KEP,
    red_when="a pod waits although there is a legal placement for its slice", mutant="slice-too-many",
)  # fmt: skip
def test_who_waits_has_no_legal_place(crowd: SlicesRecording) -> None:
    """No pod that waits on full GPUs has a legal placement: counters refuse only what MIG geometry refuses."""
    at = crowd.mark(FULL)
    assert judged.waiting(crowd, at), "no pod waits: the GPUs are not full"
    assert judged.idle_findings(crowd, at) == [], crowd.timeline_text()


@behaviour(
    "slices.counters.reason", level=SHOULD, spec=CLAIMS,
    red_when="a pod without a placement runs, or its condition does not say why it waits", mutant="pod-claims-lost",
)  # fmt: skip
def test_who_waits_is_told_why(crowd: SlicesRecording) -> None:
    """Every waiting pod is Unschedulable, with the message that its claims cannot be allocated."""
    waiting = judged.waiting(crowd, crowd.mark(FULL))
    assert waiting, crowd.timeline_text()
    assert judged.refusal_findings(crowd, waiting) == []


@behaviour(
    "slices.counters.refilled", level=MUST, spec=CLAIMS,
    red_when="counters of a deleted pod's slice are not released, or the placement goes to no other pod",
    mutant="pods-never-go",
)  # fmt: skip
def test_places_of_deleted_pods_are_given_out_again(crowd: SlicesRecording) -> None:
    """After half of the pods are deleted, waiting pods get placements, and none waits for a placement that is free."""
    before, after = (judged.held(crowd, crowd.mark(one)) for one in (FULL, REFILLED))
    assert after.keys() - before.keys(), crowd.timeline_text()
    assert judged.idle_findings(crowd, crowd.mark(REFILLED)) == [], crowd.timeline_text()


@behaviour(
    "slices.counters.freed", level=MUST, spec=CLAIMS,
    red_when="a claim stays allocated after its pod is gone", mutant="pods-never-go",
)  # fmt: skip
def test_deleted_pods_leave_no_allocation(crowd: SlicesRecording, measure: Measure) -> None:
    """When all pods are deleted, no claim of a pod that was bound to a node is still allocated."""
    must_have(judged.held(crowd, crowd.mark(FULL)), "allocations while the pods were there")
    left = judged.held(crowd, crowd.mark(END))
    between = left.keys() & judged.never_bound(crowd)
    measure.value(left_between_allocation_and_binding=len(between))
    assert left.keys() == between, crowd.timeline_text()


@scenario(needs=counters.NEEDS, timeout=40)
def whole_or_slices(lab: Lab) -> None:
    """A pod takes a whole GPU and another waits for a slice of it; then the other way round."""
    with counters.published(lab, [A100]) as site:
        site.ask_for("whole", resource_slices.whole_gpu())
        site.observe_decided("whole")
        site.ask("slice", MEDIUM)
        site.observe_decided("slice")
        site.delete("whole")
        lab.observe(lambda: site.given("slice"), "the slice is given out")
        site.ask_for("whole-again", resource_slices.whole_gpu())
        site.observe_decided("whole-again")
        site.delete("slice")
        lab.observe(lambda: site.given("whole-again"), "the whole GPU is given out again")
        site.finish()


@behaviour(
    "slices.counters.whole-excludes-slices", level=MUST, spec=KEP,
    red_when="a slice is allocated of a GPU that another pod holds as a whole", mutant="counters-ignored",
)  # fmt: skip
def test_a_whole_gpu_excludes_slices(whole_or_slices: SlicesRecording) -> None:
    """While a pod holds the whole GPU none of its slices is allocated, and one is once that pod is deleted."""
    assert judged.together_findings(whole_or_slices, "whole", "slice") == [], whole_or_slices.timeline_text()
    assert judged.refusal_findings(whole_or_slices, ["slice"]) == []
    assert whole_or_slices.observed("the slice is given out"), whole_or_slices.timeline_text()


@behaviour(
    "slices.counters.slice-excludes-whole", level=MUST, spec=KEP,
    red_when="a GPU is allocated as a whole although another pod holds a slice of it", mutant="counters-ignored",
)  # fmt: skip
def test_a_slice_excludes_the_whole_gpu(whole_or_slices: SlicesRecording) -> None:
    """While a pod holds a slice its GPU is not allocated as a whole, and it is once that pod is deleted."""
    assert judged.together_findings(whole_or_slices, "slice", "whole-again") == [], whole_or_slices.timeline_text()
    assert judged.refusal_findings(whole_or_slices, ["whole-again"]) == []
    assert whole_or_slices.observed("the whole GPU is given out again"), whole_or_slices.timeline_text()


@scenario(needs=counters.NEEDS, timeout=40)
def once_on_a_gpu(lab: Lab) -> None:
    """Two pods ask for the profile with media engines, of which a GPU has one; a third for a plain slice."""
    with counters.published(lab, [A100]) as site:
        for name, profile in (("media", "1g.5gb+me"), ("media-too", "1g.5gb+me"), ("plain", MEDIUM)):
            site.ask(name, profile)
            site.observe_decided(name)
        site.observe_settled(FULL)
        site.finish()


@behaviour(
    "slices.counters.limited", level=MUST, spec=KEP,
    red_when="a profile is allocated more often than a GPU can hold it", mutant="limit-forgotten",
)  # fmt: skip
def test_a_profile_is_given_out_as_often_as_a_gpu_may_hold_it(once_on_a_gpu: SlicesRecording) -> None:
    """Of two pods that ask for 1g.5gb+me only one gets it, while a third pod still gets a plain slice."""
    held = judged.held(once_on_a_gpu, once_on_a_gpu.mark(FULL))
    assert held.keys() == {"media", "plain"}, once_on_a_gpu.timeline_text()
    assert judged.geometry_findings(once_on_a_gpu) == []


@scenario(needs=counters.NEEDS, timeout=40)
def two_or_none(lab: Lab) -> None:
    """A pod has half a GPU, a claim asks for both halves, a second pod takes the other; then both pods are deleted."""
    with counters.published(lab, [A100]) as site:
        site.ask("first", LARGE)
        site.observe_decided("first")
        site.ask_for("both", resource_slices.of_profile(LARGE), count=2)
        site.observe_decided("both")
        site.ask("second", LARGE)
        site.observe_decided("second")
        lab.mark(FULL)
        site.delete("first", "second")
        lab.observe(lambda: site.given("both"), "the claim for two is allocated")
        site.observe_settled(REFILLED)
        site.finish()


@behaviour(
    "slices.counters.all-or-nothing", level=MUST, spec=CLAIMS,
    red_when="a claim for two slices holds only one, or blocks other claims while it waits", mutant="count-lost",
)  # fmt: skip
def test_a_claim_for_two_slices_gets_both_or_none(two_or_none: SlicesRecording) -> None:
    """A claim for two slices holds none and blocks no other claim while only one fits, then gets both at once."""
    full, refilled = (judged.held(two_or_none, two_or_none.mark(one)) for one in (FULL, REFILLED))
    assert full.keys() == {"first", "second"}, two_or_none.timeline_text()
    sizes = {len(state["both"]) for _, _, state in judged.course(two_or_none) if "both" in state}
    assert sizes == {2}, two_or_none.timeline_text()
    assert refilled.keys() == {"both"}, two_or_none.timeline_text()


@scenario(needs=counters.NEEDS, timeout=40)
def by_attributes(lab: Lab) -> None:
    """One claim selects by memory and first memory slice; another selects what no device has, and waits."""
    with counters.published(lab, [A100]) as site:
        site.ask_for("upper", resource_slices.of_memory("15Gi", start=4))
        site.observe_decided("upper")
        site.ask_for("nowhere", resource_slices.of_memory("15Gi", start=3))
        site.observe_decided("nowhere")
        lab.mark(FULL)
        site.finish()


@behaviour(
    "slices.counters.selected", level=MUST, spec=CLAIMS,
    red_when="a claim gets a device that its expression does not select", mutant="selectors-lost",
)  # fmt: skip
def test_a_claim_gets_what_its_expression_selects(by_attributes: SlicesRecording) -> None:
    """A claim for 15 GiB starting at memory slice 4 gets the upper 3g.20gb, and one at slice 3 gets nothing."""
    held = judged.held(by_attributes, by_attributes.mark(FULL))
    assert {name: [(one.profile, one.start) for one in places] for name, places in held.items()} == {
        "upper": [(LARGE, 4)]
    }, by_attributes.timeline_text()
