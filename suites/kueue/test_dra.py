"""Dynamic resource allocation: claimed devices count against quota. Devices are plain API objects here."""

from __future__ import annotations

from gpuassay import MUST, Manifest, behaviour, scenario
from gpuassay.manifest import condition
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.cohorts import holding, pending, usage_at_end
from gpuassay.systems.kueue.model.reasons import REFUSED
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import claims as resource_slices
from suites.kueue.sharing import claim, credit_queue, decided

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/dynamic_resource_allocation/"
CLAIMED = "example.com/claimed-gpu"
MAPPED, UNMAPPED = "gpu.example.com", "other.example.com"


def resource_slice(name: str, driver: str, devices: int) -> Manifest:
    """A ResourceSlice with `devices` devices on a node that nobody needs."""
    spec: Manifest = {
        "driver": driver,
        "nodeName": "gpuassay-no-such-node",
        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"gpu-{index}"} for index in range(devices)],
    }
    return {"apiVersion": resource_slices.API, "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec}


def claims(lab: KueueLab, name: str, queue: Queue, template: str, count: int = 1) -> str:
    """Create a Workload of `count` pods with a claim each; returns its name."""
    pods = kueue.pod_set(count=count)
    spec = pods["template"]["spec"]
    spec |= resource_slices.uses(template=template)
    spec["containers"][0]["resources"] = resource_slices.resources()
    lab.create(kueue.workload(name, lab.namespace, queue.local, [pods]))
    return name


@scenario("dra", needs={"gate:KueueDRAIntegration"})
def devices(lab: KueueLab) -> None:
    """A quota of 5 devices; claims for one, two and all devices, for an unmapped class and for no existing device."""
    lab.note(notes.EXPECTED_ERRORS, ["Failed to process DRA resources", "insufficient matching devices"])
    for driver in (MAPPED, UNMAPPED):
        lab.create(resource_slices.device_class(driver, driver))
    lab.create(resource_slice(lab.unique("slice"), MAPPED, 8))
    queue = credit_queue(lab, "claimed", {CLAIMED: 5})
    count = {"deviceClassName": MAPPED, "allocationMode": "ExactCount"}
    nothing = {"selectors": [{"cel": {"expression": 'device.driver == "nobody.example.com"'}}]}
    claim(lab, "one", count | {"count": 1})
    claim(lab, "two", count | {"count": 2})
    claim(lab, "foreign", count | {"count": 1, "deviceClassName": UNMAPPED})
    claim(lab, "all", {"deviceClassName": MAPPED, "allocationMode": "All"})
    claim(lab, "nowhere", count | {"count": 1} | nothing)
    for template in ("foreign", "all", "nowhere"):
        claims(lab, f"asks-{template}", queue, template)
    claims(lab, "pair-of-two", queue, "two", count=2)
    decided(lab, "pair-of-two")
    claims(lab, "single", queue, "one")
    decided(lab, "single")
    claims(lab, "one-too-many", queue, "one")
    decided(lab, "one-too-many", "asks-foreign", "asks-all", "asks-nowhere")


@behaviour(
    "kueue.dra.devices-charged", level=MUST, spec=SPEC,
    red_when="claimed devices are not charged by number of devices and pods", mutant="device-counts-lost",
)  # fmt: skip
def test_claimed_devices_are_charged(devices: KueueRecording) -> None:
    """Devices claimed through a mapped DeviceClass are charged to quota as device count times number of pods."""
    assert usage_at_end(devices, "pair-of-two") == {CLAIMED: 4}, devices.timeline_text()
    assert usage_at_end(devices, "single") == {CLAIMED: 1}, devices.timeline_text()


@behaviour(
    "kueue.dra.quota-binds", level=MUST, spec=SPEC,
    red_when="claims are admitted beyond the quota of their devices", mutant="device-counts-lost",
)  # fmt: skip
def test_claims_wait_for_quota(devices: KueueRecording) -> None:
    """A Workload whose claim exceeds the remaining quota stays pending although devices are left."""
    assert holding(devices, "claimed") == ["pair-of-two", "single"], devices.timeline_text()
    assert "one-too-many" in pending(devices, "claimed"), devices.timeline_text()


def refusal(recording: KueueRecording, name: str) -> tuple[str, str]:
    """Reason and message with which a Workload was refused quota at the end; empty where it was not."""
    told = condition(recording.timelines("Workload")[name].final, "QuotaReserved")
    return ("", "") if told is None or told["status"] == "True" else (str(told["reason"]), str(told["message"]))


@behaviour(
    "kueue.dra.unmapped-class", level=MUST, spec=SPEC,
    red_when="a Workload that claims an unmapped DeviceClass is admitted without being charged", mutant="claims-lost",
)  # fmt: skip
def test_an_unmapped_class_is_inadmissible(devices: KueueRecording) -> None:
    """A Workload that claims an unmapped DeviceClass is Inadmissible, and the message names the class."""
    reason, message = refusal(devices, "asks-foreign")
    assert reason in REFUSED and UNMAPPED in message, f"{reason}: {message}; {devices.timeline_text()}"


@behaviour(
    "kueue.dra.allocation-mode-all", level=MUST, spec=SPEC,
    red_when="a claim for all devices is admitted without being charged", mutant="claims-lost",
)  # fmt: skip
def test_a_claim_for_all_devices_is_inadmissible(devices: KueueRecording) -> None:
    """A Workload whose claim has allocationMode All is Inadmissible, and the message says so."""
    reason, message = refusal(devices, "asks-all")
    assert reason in REFUSED and "All" in message, f"{reason}: {message}; {devices.timeline_text()}"


@behaviour(
    "kueue.dra.no-such-device", level=MUST, spec=SPEC,
    red_when="a claim that no device can satisfy holds quota", mutant="claims-lost",
)  # fmt: skip
def test_a_claim_that_no_device_satisfies_holds_no_quota(devices: KueueRecording) -> None:
    """A claim whose selector matches no device is inadmissible and holds no quota."""
    reason, message = refusal(devices, "asks-nowhere")
    assert reason in REFUSED and message, f"{reason}: {message}; {devices.timeline_text()}"
