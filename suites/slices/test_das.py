"""What is DAS's alone: what its webhook makes of pods, and the way of its claims.

DAS is the user's (`--asset das=DIR`). Its webhook, scheduler and daemonset run, not emulated, on fake GPUs; its
operator does not.
"""

from __future__ import annotations

from typing import cast

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour, dig, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.das import DasSite
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import das as slices_das
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.das_known import DAS, DAS_PROGRAM

SMALL, LARGE = "1g.5gb", "3g.20gb"
DIRECT = f"mig.das.com/{SMALL}"
SLICED = ("one", "several", "direct")


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=70)
def das_pods(lab: Lab) -> None:
    """Created in turn: a pod that ends, one with three slices, one by DAS's name, a plain one, one for a whole GPU."""
    with slicing.opened(lab, "das") as opened:
        site = cast("DasSite", opened)
        site.pod("one", LARGE, 1, ("serve", 8080), ("wait",))
        site.observe_running("one")
        site.identify("one")
        site.note_rest("one")
        site.pod_of_resource("several", f"nvidia.com/mig-{SMALL}", count=3)
        site.observe_running("several")
        site.pod_of_resource("direct", DIRECT)
        site.observe_running("direct")
        site.identify("several", "direct")
        site.note_indices("several")
        site.note_rest("full")
        site.attempt_any("plain")
        site.observe_running("plain")
        site.pod_of_resource("whole", "nvidia.com/gpu")
        site.observe_refused("whole")
        lab.mark("ending")
        site.ask("one", "/exit?code=0")
        site.observe_ended("one")
        site.observe_unclaimed("one")
        site.note_rest("ended")
        site.finish()


@behaviour(
    "slices.das.webhook-renames", level=MUST, spec=DAS,
    red_when="a pod that asks for a slice keeps NVIDIA's resource, the default scheduler, or no RuntimeClass",
    mutant="request-lost",
)  # fmt: skip
def test_das_renames_what_a_pod_asks_for(das_pods: SlicesRecording) -> None:
    """A pod that asks for slices by NVIDIA's or DAS's name gets DAS's resource, scheduler and RuntimeClass."""
    for name in SLICED:
        asked = slices_seen.wanted(das_pods, name)
        stored = das_pods.timelines("Pod")[name].first
        assert slices_das.renaming_findings(asked, stored) == [], name
    assert DIRECT in dig(das_pods.timelines("Pod")["direct"].first, "spec", "containers")[0]["resources"]["limits"]


@behaviour(
    "slices.das.webhook-plain", level=MUST, spec=DAS,
    red_when="a pod that asks for no slice is given DAS's scheduler or its RuntimeClass", mutant="slices-for-all",
)  # fmt: skip
def test_das_leaves_plain_pods_alone(das_pods: SlicesRecording) -> None:
    """A pod without slices has the default scheduler, no RuntimeClass, no claim, and runs."""
    stored = das_pods.timelines("Pod")["plain"].first
    assert dig(stored, "spec", "schedulerName") == "default-scheduler"
    assert dig(stored, "spec", "runtimeClassName", default=None) is None
    assert slices_das.claims_of(das_pods, "plain") == {}
    assert "plain" in slices_seen.ran(das_pods), das_pods.timeline_text()


@behaviour(
    "slices.das.claim-states", level=MUST, spec=DAS,
    red_when="an AllocationClaim skips a state (staged, created, processing, inUse), goes back, or is missing",
    mutant="request-lost",
)  # fmt: skip
def test_das_claims_go_through_their_states_in_order(das_pods: SlicesRecording) -> None:
    """Every AllocationClaim goes staged, created, processing, inUse, and a pod has one claim for each slice."""
    for name, count in zip(SLICED, (1, 3, 1), strict=True):
        assert slices_das.order_findings(das_pods, name) == [], das_pods.timeline_text()
        assert len(slices_das.claims_of(das_pods, name)) == count


@behaviour(
    "slices.das.claims-are-slices", level=MUST, spec=DAS,
    red_when="an AllocationClaim names a placement that holds no slice, or a slice has no AllocationClaim",
    mutant="another-profile",
)  # fmt: skip
def test_das_claims_name_the_slices(das_pods: SlicesRecording) -> None:
    """For pods created one by one, AllocationClaims, slices and CDI devices match, and each pod has its own."""
    assert slices_rest.books_findings(das_pods, "full", slices=5) == [], das_pods.timeline_text()
    assert slices_rest.mixed_up_findings(das_pods, "full") == [], das_pods.timeline_text()
    profiles = sorted(one.slice.profile for one in slices_seen.changes(das_pods) if one.made)
    assert profiles == [*[SMALL] * 4, LARGE], das_pods.timeline_text()


@behaviour(
    "slices.das.visible-devices", level=MUST, spec=f"{DAS}/pull/907",
    red_when="a container with three slices is not given all of them, or not their indices", mutant="one-name-for-all",
)  # fmt: skip
def test_das_tells_a_container_its_slices(das_pods: SlicesRecording) -> None:
    """NVIDIA_VISIBLE_DEVICES holds three different UUIDs of slices, CUDA_VISIBLE_DEVICES their indices from 0."""
    given = slices_seen.given(das_pods, "several")["main"]
    assert len(set(given)) == 3, given
    assert set(given) <= set(das_pods.note(notes.REST)["full"].slices)
    assert das_pods.note(notes.INDICES)["several"] == "0,1,2"


@behaviour(
    "slices.das.completion", level=MUST, spec=DAS,
    red_when="the claim or the slice of a pod that has succeeded stays until the pod is deleted", mutant="wrong-port",
)  # fmt: skip
def test_das_frees_a_completed_pod(das_pods: SlicesRecording, measure: Measure) -> None:
    """After a pod's success, before its deletion, claim, slice and CDI device are gone; the time is measured."""
    uuids = slices_seen.given(das_pods, "one")["main"]
    ended = das_pods.note(notes.REST)["ended"]
    assert len(uuids) == 1
    assert "one" in ended.pods
    assert not set(uuids) & {*ended.slices, *(ended.cdi or ())}, das_pods.timeline_text()
    (at,) = slices_das.gone_at(das_pods, "one")
    assert at is not None, das_pods.timeline_text()
    measure.value(claim_gone_after_seconds=(at - das_pods.mark("ending")) / 1e9)


@behaviour(
    "slices.das.whole-gpu", level=SHOULD, spec=f"{DAS}#readme",
    red_when="a pod that asks for a whole GPU runs without one, or its condition does not say why it waits",
    mutant="request-lost",
)  # fmt: skip
def test_das_has_no_whole_gpus(das_pods: SlicesRecording) -> None:
    """A pod that asks for `nvidia.com/gpu` waits, as DAS renames it to a resource that it never offers (documented)."""
    assert "whole" not in slices_seen.ran(das_pods), das_pods.timeline_text()
    told = slices_seen.unscheduled(das_pods, "whole")
    assert told, das_pods.timeline_text()
    assert "Insufficient mig.das.com/gpu" in told[-1][1], told


@behaviour(
    "slices.das.nothing-left", level=MUST, spec=DAS,
    red_when="a claim, a slice or a CDI device is left after all pods are gone", mutant="termination-ignored",
)  # fmt: skip
def test_das_leaves_nothing(das_pods: SlicesRecording) -> None:
    """When all pods are gone there is no claim, no slice and no CDI device; all invariants held."""
    assert slices_rest.left_findings(das_pods) == [], das_pods.timeline_text()
    assert slices_seen.findings(das_pods) == [], das_pods.timeline_text()


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60)
def das_quota(lab: Lab) -> None:
    """A quota of one slice by DAS's name of the resource; two pods ask for one by NVIDIA's."""
    with slicing.opened(lab, "das") as opened:
        site = cast("DasSite", opened)
        lab.create({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "slices", "namespace": lab.namespace},
            "spec": {"hard": {f"requests.{DIRECT}": "1"}},
        })  # fmt: skip
        lab.observe(lambda: site.quota_counts("slices"), "the quota counts")
        site.attempt_any("first", SMALL)
        site.attempt_any("second", SMALL)
        site.observe_running("first")
        site.finish()


@behaviour(
    "slices.das.quota-renamed", level=MUST, spec="https://kubernetes.io/docs/concepts/policy/resource-quotas/",
    red_when="a quota on DAS's name does not limit pods that use NVIDIA's name", mutant="resource-quota-lost",
)  # fmt: skip
def test_das_counts_quota_by_its_own_name(das_quota: SlicesRecording) -> None:
    """The first pod runs and the second exceeds the quota on DAS's name, as pods are renamed before they count."""
    attempts = das_quota.attempts
    assert attempts["first"].accepted
    assert not attempts["second"].accepted
    assert attempts["second"].status == 403
    assert "exceeded quota" in attempts["second"].message
    assert "first" in slices_seen.ran(das_quota), das_quota.timeline_text()
