"""Kubernetes' example DRA driver: how claims are allocated, prepared, shared and freed. Protocol only, no silicon.

It has no partitions and no GPU; what it proves is that kubelet, scheduler and recorder do their part, for any driver.
"""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, behaviour
from gpuassay.presence import must_have
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import example_driver as slicing_example
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.counters import REFUSED
from gpuassay.systems.slices.judge.geometry import sharing_findings
from gpuassay.systems.slices.readings import SlicesRecording
from suites.variants import per_variant

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
DRIVER = "https://github.com/kubernetes-sigs/dra-example-driver"
FIRST, LATER = ("a", "b"), "c"

example = per_variant(
    {"dra-example": ("program:dra-example",)}, lambda _behaviour, _slicer: None, system="slices", timeout=60
)
"""Declares a scenario of the one slicer that is judged here, under its name in the matrix of slicers."""


@example
def full_node(lab: Lab, _: str) -> None:
    """Two pods claim both devices and a third waits; the first is deleted, then all."""
    with slicing_example.opened(lab, devices=len(FIRST)) as site:
        for name in FIRST:
            site.pod(name)
        site.observe_running(*FIRST)
        site.pod(LATER)
        site.observe_refused(LATER)
        site.identify(*FIRST)
        site.note_rest("full")
        lab.mark("released")
        site.delete(FIRST[0])
        site.observe_running(LATER)
        site.identify(LATER)
        site.finish()


@behaviour(
    "slices.example.allocated", level=MUST, spec=CLAIMS,
    red_when="a pod runs without a claim that holds a device, or a device is prepared for no pod",
    mutant="pod-claims-lost",
)  # fmt: skip
def test_a_claim_is_made_allocated_and_prepared_for_its_pod(full_node: SlicesRecording) -> None:
    """Each running pod has a claim with one device, which the driver has prepared with one CDI device."""
    assert set(slices_rest.owners(full_node, "full").values()) == set(FIRST), full_node.timeline_text()
    assert slices_rest.books_findings(full_node, "full", slices=len(FIRST)) == [], full_node.timeline_text()


@behaviour(
    "slices.example.given", level=MUST, spec=CLAIMS,
    red_when="a container has another device or claim than the API says is its pod's", mutant="one-device-for-all",
)  # fmt: skip
def test_a_container_has_the_device_of_its_pods_claim(full_node: SlicesRecording) -> None:
    """The device and claim that the driver gives to a container are those of its pod's claim in the API."""
    assert slices_rest.mixed_up_findings(full_node, "full") == [], full_node.timeline_text()
    owners = {
        history.final["metadata"]["uid"]: history.final["metadata"]["ownerReferences"][0]["name"]
        for history in full_node.timelines("ResourceClaim").values()
    }
    told = {name: [owners.get(uid) for uid in claims.values()] for name, claims in full_node.note(notes.CLAIMS).items()}
    assert told == {name: [name] for name in (*FIRST, LATER)}


@behaviour(
    "slices.example.exclusive", level=MUST, spec=CLAIMS,
    red_when="two pods with claims of their own hold one device at the same time", mutant="one-device-for-all",
)  # fmt: skip
def test_no_two_pods_have_one_device_at_the_same_time(full_node: SlicesRecording) -> None:
    """No two of three pods hold one device at the same time, and the third gets the device of the deleted first."""
    runs = slices_seen.runs(full_node)
    assert sharing_findings(runs) == [], full_node.timeline_text()
    held = {one.pod: one.held for one in runs}
    assert len(held[LATER]) == 1, full_node.timeline_text()
    assert held[LATER] == held[FIRST[0]] != held[FIRST[1]]


@behaviour(
    "slices.example.exhausted", level=MUST, spec=CLAIMS,
    red_when="a pod runs although all devices are claimed, or its condition does not say why it waits",
    mutant="pod-claims-lost",
)  # fmt: skip
def test_a_pod_without_a_device_waits_and_is_told_why(full_node: SlicesRecording) -> None:
    """With both devices claimed the third pod does not run and is Unschedulable: its claims cannot be allocated."""
    told = slices_seen.unscheduled(full_node, LATER)
    assert any(reason == "Unschedulable" and REFUSED in message for reason, message in told), full_node.timeline_text()
    released = full_node.mark("released")
    begun = must_have([one.begun for one in slices_seen.runs(full_node) if one.pod == LATER], "a run of the third pod")
    assert all(at > released for at in begun), full_node.timeline_text()


@behaviour(
    "slices.example.released", level=MUST, spec=CLAIMS,
    red_when="the device of a deleted pod is given to nobody", mutant="termination-ignored",
)  # fmt: skip
def test_a_deleted_pod_makes_room(full_node: SlicesRecording) -> None:
    """After the deletion of a pod the one that waits runs."""
    assert LATER in slices_seen.ran(full_node), full_node.timeline_text()


@behaviour(
    "slices.example.unprepared", level=MUST, spec=CLAIMS,
    red_when="a deleted pod leaves its claim, or a device that is still prepared", mutant="termination-ignored",
)  # fmt: skip
def test_deleted_pods_leave_nothing(full_node: SlicesRecording) -> None:
    """When all pods are deleted, the driver has unprepared all devices, and claims and CDI devices are gone."""
    assert slices_rest.left_findings(full_node) == [], full_node.timeline_text()


@behaviour(
    "slices.example.protocol-only", level=SHOULD, spec=DRIVER,
    red_when="a container of the example driver seems to have a GPU, or the report does not say that it has none",
    mutant="gpu-pretended",
)  # fmt: skip
def test_nothing_looks_like_a_gpu_and_the_report_says_so(full_node: SlicesRecording) -> None:
    """Containers see no GPU device nodes or variables, and the recording says that the driver is protocol only."""
    assert full_node.note(notes.GPUS_SEEN) == {name: [] for name in (*FIRST, LATER)}
    assert any(one.startswith("protocol only") for one in full_node.note(notes.EMULATED))
    assert full_node.silicon == []


@example
def driver_killed(lab: Lab, _: str) -> None:
    """The driver is killed while two pods have devices, and restarted; a third pod is created, then all are deleted."""
    with slicing_example.opened(lab, devices=3) as site:
        for name in FIRST:
            site.pod(name)
        site.observe_running(*FIRST)
        with site.driver_killed():
            pass
        site.pod(LATER)
        site.observe_running(LATER)
        site.identify(*FIRST, LATER)
        site.note_rest("back")
        site.finish()


@behaviour(
    "slices.example.restart-keeps", level=MUST, spec=CLAIMS,
    red_when="when the driver is killed a pod ends, or its device is lost or given to another pod",
    mutant="prepared-forgotten",
)  # fmt: skip
def test_claims_outlive_the_driver(driver_killed: SlicesRecording) -> None:
    """When the driver is killed and restarted, pods run on, devices stay prepared and a new pod gets the free one."""
    surviving = [one.pod for one in slices_rest.surviving(driver_killed, "driver-killed")]
    assert sorted(surviving) == list(FIRST), driver_killed.timeline_text()
    assert slices_rest.books_findings(driver_killed, "back", slices=3) == [], driver_killed.timeline_text()
    assert slices_rest.mixed_up_findings(driver_killed, "back") == [], driver_killed.timeline_text()


@behaviour(
    "slices.example.restart-frees", level=MUST, spec=CLAIMS,
    red_when="a device that was prepared before the driver was killed is never unprepared", mutant="prepared-forgotten",
)  # fmt: skip
def test_what_was_prepared_before_a_restart_is_put_away(driver_killed: SlicesRecording) -> None:
    """Pods from before the driver's restart leave no device, claim or CDI device when deleted after it."""
    assert slices_rest.left_findings(driver_killed) == [], driver_killed.timeline_text()


@example
def one_claim_for_two(lab: Lab, _: str) -> None:
    """Two pods use one claim; the first is deleted, then the second."""
    with slicing_example.opened(lab, devices=2) as site:
        claim = site.claim("common")
        for name in FIRST:
            site.pod(name, claim=claim)
        site.observe_running(*FIRST)
        site.identify(*FIRST)
        site.note_rest("both")
        site.delete(FIRST[0])
        lab.observe(lambda: site.users(claim) == [FIRST[1]], "the claim is the second pod's alone")
        site.note_rest("one")
        site.finish()


@behaviour(
    "slices.example.shared", level=MUST, spec=CLAIMS,
    red_when="pods that use one claim do not share its device", mutant="pod-claims-lost",
)  # fmt: skip
def test_pods_that_use_one_claim_have_one_device(one_claim_for_two: SlicesRecording) -> None:
    """Two pods that name one claim run at the same time with the same device, and the other device stays free."""
    first, second = (one_claim_for_two.note(notes.HELD)[name]["main"] for name in FIRST)
    assert first == second, one_claim_for_two.timeline_text()
    assert one_claim_for_two.note(notes.REST)["both"].slices == first
    assert len(first) == 1


@behaviour(
    "slices.example.shared-until-the-last", level=MUST, spec=CLAIMS,
    red_when="a shared device is unprepared while a pod still has it, or stays prepared after the last one",
    mutant="pod-claims-lost",
)  # fmt: skip
def test_a_shared_device_stays_until_its_last_pod_goes(one_claim_for_two: SlicesRecording) -> None:
    """A shared device stays prepared after its first pod is deleted, and is unprepared after the last one."""
    device = one_claim_for_two.note(notes.HELD)[FIRST[1]]["main"]
    assert one_claim_for_two.observed("the claim is the second pod's alone"), one_claim_for_two.timeline_text()
    rest = one_claim_for_two.note(notes.REST)["one"]
    assert rest.slices == rest.cdi == device != [], one_claim_for_two.timeline_text()
    assert slices_rest.left_findings(one_claim_for_two) == [], one_claim_for_two.timeline_text()
