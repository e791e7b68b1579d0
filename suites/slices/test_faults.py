"""What is killed, restarted or rebooted under pods with slices: they keep them, and the next ones get theirs."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Measure, Note, behaviour
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import DEVICE_PLUGINS, MIG, per_slicer

PROFILE = "1g.5gb"
STATIC = {0: [PROFILE] * 4}


AGAIN = Note("again", dict[str, list[str]], "slices that each pod says it was given after the reboot, by UUID")


def _opened(lab: Lab, slicer: slicing.SlicerName) -> slicing.Opened:
    """A node with one GPU, of which the device plugin has four slices."""
    geometry = STATIC if slicer == "device-plugin" else None
    return slicing.opened(lab, slicer, gpus=["a100-40gb"], geometry=geometry)


def _kept(recording: SlicesRecording, mark: str, *pods: str) -> None:
    """The pods that ran before `mark` still run after it, and nothing was taken from them."""
    survivors = {one.pod for one in slices_rest.surviving(recording, mark)}
    assert survivors >= set(pods), recording.timeline_text()
    assert slices_seen.findings(recording) == [], recording.timeline_text()


def _served(recording: SlicesRecording, *pods: str) -> None:
    """The pods ran, each on slices of its own, and what they were told is what the books say."""
    assert slices_seen.ran(recording) >= set(pods), recording.timeline_text()
    assert slices_rest.books_findings(recording, "after", slices=len(pods)) == [], recording.timeline_text()
    assert slices_rest.mixed_up_findings(recording, "after") == [], recording.timeline_text()


@per_slicer(timeout=70)
def kubelet_restarted(lab: Lab, slicer: slicing.SlicerName) -> None:
    """The kubelet is killed and started while a pod holds a slice; then another pod asks for one."""
    with _opened(lab, slicer) as site:
        site.pod("before", PROFILE)
        site.observe_running("before")
        site.identify("before")
        site.restart_kubelet(kill=True)
        site.pod("later", PROFILE)
        site.observe_running("later")
        site.identify("later")
        site.note_rest("after")
        site.finish()


@behaviour(
    "slices.faults.kubelet-restart-keeps", level=MUST, spec=DEVICE_PLUGINS,
    red_when="a restart of the kubelet ends a pod with a slice or destroys its slice",
    mutant="containers-end-while-away",
)  # fmt: skip
def test_slices_outlive_the_kubelet(kubelet_restarted: SlicesRecording) -> None:
    """After kill -9 and restart of the kubelet the pod keeps running on its slice."""
    _kept(kubelet_restarted, "kubelet-restart", "before")


@behaviour(
    "slices.faults.kubelet-restart-serves", level=MUST, spec=DEVICE_PLUGINS,
    red_when="after a restart of the kubelet no pod gets a slice, or one gets a slice that is in use",
    mutant="one-name-for-all",
)  # fmt: skip
def test_slices_are_given_after_a_restart_of_the_kubelet(kubelet_restarted: SlicesRecording, measure: Measure) -> None:
    """After the kubelet's restart the MIG provider registers again, and the next pod gets a slice that nobody has.

    How long that pod waits is measured: a kubelet that starts takes back what DRA drivers have published.
    """
    measure.value(waited_seconds=slices_seen.seconds_to_run(kubelet_restarted, "later"))
    assert all(kubelet_restarted.observations.values()), kubelet_restarted.observations
    _served(kubelet_restarted, "before", "later")


@behaviour(
    "slices.faults.kubelet-restart-nothing-left", level=MUST, spec=MIG,
    red_when="a slice, claim or CDI device from before a restart of the kubelet is left when its pod is gone",
    mutant="termination-ignored",
)  # fmt: skip
def test_a_restart_of_the_kubelet_leaves_nothing(kubelet_restarted: SlicesRecording) -> None:
    """Pods from before and after the kubelet's restart leave no on-demand slice, claim or CDI device when deleted."""
    assert slices_rest.left_findings(kubelet_restarted) == [], kubelet_restarted.timeline_text()


@per_slicer(timeout=80, outside=True)
def slicer_restarted(lab: Lab, slicer: slicing.SlicerName) -> None:
    """The MIG provider is killed while a pod asks, and started; then it is stopped in order and started again."""
    with _opened(lab, slicer) as site:
        site.pod("before", PROFILE)
        site.observe_running("before")
        site.identify("before")
        with site.slicer_away(kill=True):
            site.observe_withdrawn()
            site.pod("meanwhile", PROFILE)
            site.observe_stuck("meanwhile")
        site.observe_running("meanwhile")
        site.identify("meanwhile")
        with site.slicer_away(kill=False):
            site.observe_withdrawn()
        site.pod("later", PROFILE)
        site.observe_running("later")
        site.identify("later")
        site.note_rest("after")
        site.finish()


@behaviour(
    "slices.faults.slicer-restart-keeps", level=MUST, spec=DEVICE_PLUGINS,
    red_when="the death or restart of the MIG provider ends a pod or destroys its slice",
    mutant="containers-end-while-away",
)  # fmt: skip
def test_slices_outlive_their_slicer(slicer_restarted: SlicesRecording) -> None:
    """A pod keeps running on its slice while the MIG provider is killed, started, stopped and started again."""
    _kept(slicer_restarted, "slicer-back", "before")


@behaviour(
    "slices.faults.slicer-away-waits", level=MUST, spec=DEVICE_PLUGINS, timed=True,
    red_when="a pod runs while no MIG provider can allocate a slice, or never runs afterwards",
    mutant="request-lost",
)  # fmt: skip
def test_a_pod_waits_for_a_slicer_that_is_away(slicer_restarted: SlicesRecording) -> None:
    """A pod that is created while the MIG provider is down runs only after the provider is back."""
    back = slicer_restarted.mark("first-back")
    begun = {one.pod: one.begun for one in slices_seen.runs(slicer_restarted)}
    assert begun.get("meanwhile", 0) > back, slicer_restarted.timeline_text()


@behaviour(
    "slices.faults.slicer-restart-serves", level=MUST, spec=DEVICE_PLUGINS, timed=True,
    red_when="after restarts of the MIG provider a pod gets no slice, or one that is in use", mutant="one-name-for-all",
)  # fmt: skip
def test_slices_are_given_after_a_restart_of_the_slicer(slicer_restarted: SlicesRecording) -> None:
    """After each start of the MIG provider the next pod gets a slice that nobody has."""
    _served(slicer_restarted, "before", "meanwhile", "later")


@behaviour(
    "slices.faults.slicer-restart-nothing-left", level=MUST, spec=MIG,
    red_when="a slice, claim or CDI device from before a restart of the MIG provider is left",
    mutant="termination-ignored",
)  # fmt: skip
def test_a_restart_of_the_slicer_leaves_nothing(slicer_restarted: SlicesRecording) -> None:
    """Pods from before, between and after the MIG provider's restarts leave nothing when they are deleted."""
    assert slices_rest.left_findings(slicer_restarted) == [], slicer_restarted.timeline_text()


@per_slicer(timeout=80)
def node_rebooted(lab: Lab, slicer: slicing.SlicerName) -> None:
    """The node loses its power with two pods on it, and comes back; then a third pod asks for a slice."""
    with _opened(lab, slicer) as site:
        names = [site.pod(name, PROFILE, restart="Always") for name in ("one", "two")]
        site.observe_running(*names)
        site.identify(*names)
        site.reboot()
        site.observe_settled(*names)
        lab.note(AGAIN, {name: site.said(name) for name in names if site.runs(name)})
        site.pod("later", PROFILE)
        site.observe_running("later")
        site.identify("later")
        site.note_rest("after")
        site.finish()


@behaviour(
    "slices.faults.reboot-no-ghosts", level=MUST, spec=MIG,
    red_when="after a reboot a pod runs on a slice that does not exist, or that another pod holds",
    mutant="one-name-for-all",
)  # fmt: skip
def test_no_pod_runs_on_a_slice_from_before_a_reboot(node_rebooted: SlicesRecording) -> None:
    """After a reboot every running pod holds a slice that exists now and that no other pod holds."""
    there = node_rebooted.note(notes.REST)["after"].slices
    held = [uuid for uuids in node_rebooted.note(AGAIN).values() for uuid in uuids]
    later = slices_seen.given(node_rebooted, "later").get("main", [])
    assert later, node_rebooted.timeline_text()
    every = [*held, *later]
    assert set(every) <= set(there), f"held {every}, there are {there}\n{node_rebooted.timeline_text()}"
    assert len(set(every)) == len(every), node_rebooted.timeline_text()
    assert all(node_rebooted.note(AGAIN).values()), node_rebooted.note(AGAIN)


@behaviour(
    "slices.faults.reboot-returns", level=SHOULD,
    spec="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy",
    red_when="a pod with restartPolicy Always does not run again after a reboot of its node",
    mutant="restart-policy-lost",
)  # fmt: skip
def test_pods_with_slices_run_again_after_a_reboot(node_rebooted: SlicesRecording) -> None:
    """Pods with restartPolicy Always run again after a reboot, although the kubelet is up before the MIG provider."""
    seen = node_rebooted.note(AGAIN).keys()
    refused = sorted({"one", "two"} - seen)
    timeline = node_rebooted.timeline_text()
    assert {"one", "two"} <= slices_seen.ran(node_rebooted), f"expected two pods before the reboot\n{timeline}"
    assert not refused, f"expected both pods to run again, not so: {refused}\n{timeline}"


@behaviour(
    "slices.faults.reboot-serves", level=MUST, spec=MIG,
    red_when="after a reboot no pod gets a slice", mutant="held-back",
)  # fmt: skip
def test_slices_are_given_after_a_reboot(node_rebooted: SlicesRecording) -> None:
    """After a reboot the node offers its slices again, and the next pod runs on one."""
    assert "later" in slices_seen.ran(node_rebooted), node_rebooted.timeline_text()
    assert len(slices_seen.given(node_rebooted, "later")["main"]) == 1


@behaviour(
    "slices.faults.reboot-nothing-left", level=MUST, spec=MIG,
    red_when="after a reboot a slice, a claim or a CDI device of a deleted pod is left",
    mutant="termination-ignored",
)  # fmt: skip
def test_a_reboot_leaves_nothing(node_rebooted: SlicesRecording) -> None:
    """When pods from before and after a reboot are deleted, no pod, on-demand slice, claim or CDI device is left."""
    found = slices_rest.left_findings(node_rebooted, fresh=True)
    assert found == [], f"{'; '.join(found)}\n{node_rebooted.timeline_text()}"


@per_slicer(timeout=60, alone="cluster")
def scheduler_restarted(lab: Lab, slicer: slicing.SlicerName) -> None:
    """The scheduler is killed; meanwhile one pod is deleted and two ask for slices; then it is started."""
    with _opened(lab, slicer) as site:
        site.pod("before", PROFILE)
        site.pod("leaving", PROFILE)
        site.observe_running("before", "leaving")
        site.identify("before", "leaving")
        with slicing.scheduler_away(lab):
            site.delete("leaving")
            later = [site.pod(name, PROFILE) for name in ("first", "second")]
        site.observe_running(*later)
        site.identify(*later)
        site.note_rest("after")
        site.finish()


@behaviour(
    "slices.faults.scheduler-restart", level=MUST, spec="https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
    red_when="a restarted scheduler assigns a slice that is in use, or counts a free one as taken",
    mutant="one-name-for-all",
)  # fmt: skip
def test_slices_are_given_after_a_restart_of_the_scheduler(scheduler_restarted: SlicesRecording) -> None:
    """After kill -9 and restart of the scheduler the waiting pods run, each on a slice of its own."""
    _kept(scheduler_restarted, "scheduler-back", "before")
    _served(scheduler_restarted, "before", "first", "second")


@behaviour(
    "slices.faults.scheduler-restart-nothing-left", level=MUST, spec=MIG,
    red_when="a restart of the scheduler leaves a slice, a claim or a CDI device", mutant="termination-ignored",
)  # fmt: skip
def test_a_restart_of_the_scheduler_leaves_nothing(scheduler_restarted: SlicesRecording) -> None:
    """Deleted pods leave nothing, including the one that was deleted while the scheduler was down."""
    assert slices_rest.left_findings(scheduler_restarted) == [], scheduler_restarted.timeline_text()
