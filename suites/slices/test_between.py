"""Deleted between allocation and binding: the claim of a pod that never had a node gives its device back."""

from __future__ import annotations

from gpuassay import MUST, Lab, behaviour, known_defect, scenario
from gpuassay.presence import must_have
from gpuassay.systems.slices.acts import between
from gpuassay.systems.slices.acts.between import ALONE, GONE, OWN, PARTNER, SHARED, successor
from gpuassay.systems.slices.acts.counters import NEEDS
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.readings import SlicesRecording

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
UNRESERVE = "https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/scheduler/framework/plugins/dynamicresources/dynamicresources.go"


@scenario(needs=NEEDS, timeout=90)
def unbound(lab: Lab) -> None:
    """Claims are allocated, bindings refused; pods are deleted in three ways; then successors come and may be bound."""
    with between.opened(lab) as site:
        site.refuse()
        site.ask()
        lab.mark("allocated")
        site.remove()
        site.succeed()


def _allocated(recording: SlicesRecording) -> None:
    """Every claim held a device before its pod was deleted, or nothing is proved."""
    held = judged.held(recording, recording.mark("allocated"))
    must_have([held] if len(held) == len(GONE) else [], f"{len(GONE)} allocated claims, seen {sorted(held)}")


@behaviour(
    "slices.between.own", level=MUST, spec=CLAIMS,
    red_when="a pod's own claim keeps its device after the pod was deleted before it was bound", mutant="pods-never-go",
)  # fmt: skip
def test_own_claims_of_pods_that_were_never_bound_are_freed(unbound: SlicesRecording) -> None:
    """Claims made for pods that are deleted, forced or not, before they are bound hold nothing, and later pods run."""
    _allocated(unbound)
    held = judged.held(unbound, unbound.mark("settled")).keys()
    left = sorted(name for name in held if name.startswith(tuple(f"{one}-device-" for one in OWN)))
    assert left == [], f"expected the claims of deleted pods to hold nothing, not so: {left}\n{unbound.timeline_text()}"
    served = [name for name in GONE if successor(name) in held]
    assert len(served) >= len(OWN), f"expected {len(OWN)} successors, seen {served}\n{unbound.timeline_text()}"


@behaviour(
    "slices.between.partner", level=MUST, spec=CLAIMS,
    red_when="a pod is not served because another that shares its claim was deleted before it was bound",
    mutant="pod-claims-lost",
)  # fmt: skip
def test_who_shares_the_claim_of_a_pod_that_was_never_bound_is_served(unbound: SlicesRecording) -> None:
    """Of two pods that share a claim one is deleted before it is bound; the other is bound, alone."""
    _allocated(unbound)
    at = unbound.mark("settled")
    pod, claim = (
        unbound.timelines(kind)[name].as_of(at) or {} for kind, name in (("Pod", PARTNER), ("ResourceClaim", SHARED))
    )
    users = [one["name"] for one in claim.get("status", {}).get("reservedFor", [])]
    assert judged.on_a_node(pod), unbound.timeline_text()
    assert users == [PARTNER], f"expected the claim to be reserved for {PARTNER}, seen {users}"


@known_defect(
    UNRESERVE, "the scheduler takes back its reservation and not the allocation, which then nobody takes back",
    shows="expected the claim of a pod that is gone to hold nothing, seen", racy=True,
)  # fmt: skip
@behaviour(
    "slices.between.alone", level=MUST, spec=CLAIMS,
    red_when="a claim keeps its device after its only pod was deleted before it was bound",
)  # fmt: skip
def test_a_claim_whose_only_pod_was_never_bound_is_freed(unbound: SlicesRecording) -> None:
    """A claim that a user made holds nothing once its only pod was deleted before it was bound."""
    _allocated(unbound)
    held = judged.held(unbound, unbound.mark("settled"))
    seen = held.get(ALONE)
    assert seen is None, (
        f"expected the claim of a pod that is gone to hold nothing, seen {seen}\n{unbound.timeline_text()}"
    )
