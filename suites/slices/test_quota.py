"""Resource quotas on slices, by either name: that of the extended resource and that of the device class."""

from __future__ import annotations

from gpuassay import MUST, Lab, behaviour
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import MIG, per_slicer

QUOTA = "https://kubernetes.io/docs/concepts/policy/resource-quotas/"
BY_CLASS = "mig-2g.10gb.nvidia.com.deviceclass.resource.k8s.io/devices"


def _quota(lab: Lab, site: slicing.SlicedNode, name: str) -> None:
    """Create a quota of one `name` and wait until it counts."""
    lab.create({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "slices", "namespace": lab.namespace},
        "spec": {"hard": {name: "1"}},
    })  # fmt: skip
    lab.observe(lambda: site.quota_counts("slices"), "the quota counts")


@per_slicer(timeout=60, outside=True)
def quotas(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Under a quota of one slice two pods ask for one; a third asks for a RuntimeClass that does not exist."""
    with slicing.opened(lab, slicer, wants={"1g.5gb": 2, "2g.10gb": 1}) as site:
        _quota(lab, site, f"requests.{site.resource('1g.5gb')}")
        site.attempt_pod("elsewhere", "2g.10gb", spec={"runtimeClassName": "nobody-has-it"})
        site.pod("first", "1g.5gb")
        site.attempt_pod("second", "1g.5gb")
        site.observe_running("first")
        site.identify("first")
        site.finish()


@behaviour(
    "slices.quota.by-resource", level=MUST, spec=QUOTA,
    red_when="a quota on the resource's name does not keep a second slice back", mutant="resource-quota-lost",
)  # fmt: skip
def test_a_quota_on_the_resource_holds(quotas: SlicesRecording) -> None:
    """Under a quota of one `nvidia.com/mig-1g.5gb` a second pod is refused with code 403, the first one runs."""
    refused = quotas.attempt("second")
    assert not refused.accepted, f"expected the second pod to be refused, it was accepted\n{quotas.timeline_text()}"
    assert refused.status == 403 and "exceeded quota" in refused.message, refused
    assert "first" in slices_seen.ran(quotas), quotas.timeline_text()


@behaviour(
    "slices.quota.nothing-left", level=MUST, spec=MIG,
    red_when="a refused pod leaves a slice, a claim or a CDI device", mutant="behind-its-back",
)  # fmt: skip
def test_a_quota_leaves_nothing(quotas: SlicesRecording) -> None:
    """When the pods of a namespace with a quota are gone, no on-demand slice, claim or CDI device is left."""
    assert slices_rest.left_findings(quotas) == [], quotas.timeline_text()


@behaviour(
    "slices.quota.runtime-class-missing", level=MUST, spec="https://kubernetes.io/docs/concepts/containers/runtime-class/",
    red_when="a pod that asks for a runtime class that does not exist is accepted", mutant="runtime-class-lost",
)  # fmt: skip
def test_a_missing_runtime_class_is_refused(quotas: SlicesRecording) -> None:
    """A pod with a slice and a RuntimeClass that does not exist is refused at once, and the class is named."""
    refused = quotas.attempt("elsewhere")
    assert not refused.accepted, quotas.timeline_text()
    assert "nobody-has-it" in refused.message, refused


@per_slicer(timeout=60, only=("dra",), outside=True)
def class_quota(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Under a quota of one device of a DeviceClass two pods ask for its slices, by the extended resource's name."""
    with slicing.opened(lab, slicer, gpus=["a100-40gb"]) as site:
        _quota(lab, site, BY_CLASS)
        site.pod("first", "2g.10gb")
        site.observe_running("first")
        site.pod("second", "2g.10gb")
        site.observe_stuck("second")
        site.identify("first")
        site.finish()


@behaviour(
    "slices.quota.by-class", level=MUST, spec=QUOTA, timed=True,
    red_when="a quota on a device class does not keep a second slice back", mutant="resource-quota-lost",
)  # fmt: skip
def test_a_quota_on_the_device_class_holds(class_quota: SlicesRecording) -> None:
    """Under a quota of one device of a DeviceClass the second pod is not scheduled: quota exceeded."""
    assert slices_seen.ran(class_quota) == {"first"}, class_quota.timeline_text()
    told = slices_seen.unscheduled(class_quota, "second")
    assert told and "exceeded quota" in told[-1][1], class_quota.timeline_text()
    assert slices_rest.left_findings(class_quota) == [], class_quota.timeline_text()
