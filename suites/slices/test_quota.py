"""Resource quotas on slices, by either name: that of the extended resource and that of the device class."""

from __future__ import annotations

from gpuassay.behaviour import behaviour
from gpuassay.judge import slices_rest, slices_seen
from gpuassay.record.recording import Recording
from gpuassay.scenario import slicing
from gpuassay.scenario.lab import Lab
from gpuassay.verdict import MUST
from suites.slices.slicers import MIG, per_slicer

QUOTA = "https://kubernetes.io/docs/concepts/policy/resource-quotas/"
BY_RESOURCE, BY_CLASS = "requests.nvidia.com/mig-1g.5gb", "mig-2g.10gb.nvidia.com.deviceclass.resource.k8s.io/devices"


@per_slicer(timeout=60)
def quotas(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A quota of one slice for each of two profiles, by another name each; two pods of each are created."""
    with slicing.opened(lab, slicer) as site:
        hard = {BY_RESOURCE: "1"} if slicer == "device-plugin" else {BY_RESOURCE: "1", BY_CLASS: "1"}
        lab.create({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "slices", "namespace": lab.namespace},
            "spec": {"hard": hard},
        })  # fmt: skip
        lab.observe(lambda: site.quota_counts("slices"), "the quota counts")
        site.pod("first", "1g.5gb")
        site.attempt_pod("second", "1g.5gb")
        running = ["first"]
        if slicer == "dra":
            running.append(site.pod("by-class", "2g.10gb"))
            site.observe_running(*running)
            site.attempt_pod("by-class-too", "2g.10gb")
            site.observe_stuck("by-class-too")
        site.observe_running(*running)
        site.identify(*running)
        site.note_rest("full")
        site.finish()


@behaviour(
    "slices.quota.by-resource", level=MUST, spec=QUOTA,
    red_when="a quota on the resource's name does not keep a second slice back", mutant="resource-quota-lost",
)  # fmt: skip
def test_a_quota_on_the_resource_holds(quotas: Recording) -> None:
    """Under a quota of one `nvidia.com/mig-1g.5gb` a second pod is refused with code 403, the first one runs."""
    refused = quotas.notes["attempts"]["second"]
    assert not refused["accepted"], quotas.timeline_text()
    assert refused["status"] == 403 and "exceeded quota" in refused["message"], refused
    assert "first" in slices_seen.ran(quotas), quotas.timeline_text()


@behaviour(
    "slices.quota.nothing-left", level=MUST, spec=MIG,
    red_when="a refused pod leaves a slice, a claim or a CDI device", mutant="behind-its-back",
)  # fmt: skip
def test_a_quota_leaves_nothing(quotas: Recording) -> None:
    """After the pods of a namespace with a quota are gone nothing is left."""
    assert slices_rest.left_findings(quotas) == [], quotas.timeline_text()
