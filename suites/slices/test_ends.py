"""Every end of a pod frees its slice: completion, failure, deletion, force deletion; a restart does not."""

from __future__ import annotations

from gpuassay import MUST, Lab, Note, behaviour
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import MIG, per_slicer

LIFE = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"
ENDS = {"deleted": "4g.20gb", "completed": "3g.20gb", "failed": "2g.10gb", "forced": "1g.5gb"}
"""A profile for each end. Wherever on two GPUs the first stands, the others fit beside it, in any order."""
STATIC = {0: [("3g.20gb", 4), ("2g.10gb", 0)], 1: [("4g.20gb", 0), ("1g.5gb", 4)]}
EXIT = 3


AGAIN = Note("again", list[str], "slices that the restarted container says it was given, by UUID")


def _run(site: slicing.SlicedNode, prefix: str = "") -> None:
    """A pod for each end, the first of them alone."""
    first, *others = [f"{prefix}{name}" for name in ENDS]
    for names in ([first], others):
        for name in names:
            site.pod(name, ENDS[name.removeprefix(prefix)], 1, ("serve", 8080), ("wait",))
        site.observe_running(*names)
        site.identify(*names)


@per_slicer(timeout=80, outside=True)
def ends(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Four pods end in four ways; a successor of each asks for the same profile."""
    with slicing.opened(lab, slicer, geometry=STATIC if slicer == "device-plugin" else None) as site:
        _run(site)
        lab.mark("ending")
        site.ask("completed", "/exit?code=0")
        site.ask("failed", f"/exit?code={EXIT}")
        site.observe_ended("completed", "failed")
        site.delete("deleted")
        site.delete("forced", grace=0)
        if slicer != "device-plugin":
            site.observe_empty()
        site.note_rest("ended")
        lab.mark("ended")
        _run(site, "after-")
        site.note_rest("again")
        site.finish()


def _freed(recording: SlicesRecording, name: str) -> None:
    """The pod ran, its slice was free when it had ended, and its successor got one of the profile."""
    held = {one.pod: one.held for one in slices_seen.runs(recording)}
    assert {name, f"after-{name}"} <= slices_seen.ran(recording) & held.keys(), recording.timeline_text()
    assert len(held[name]) == len(held[f"after-{name}"]) == 1
    left = set(held[name]) & set(recording.note(notes.REST)["ended"].slices)
    assert slices_rest.static(recording) or not left, f"the slice of {name} is left\n{recording.timeline_text()}"


@behaviour(
    "slices.ends.completion", level=MUST, spec=LIFE,
    red_when="a pod that has succeeded, and is still there, keeps its slice", mutant="wrong-port",
)  # fmt: skip
def test_completion_frees_the_slice(ends: SlicesRecording) -> None:
    """A pod that succeeds gives its slice back before its object is deleted."""
    assert ends.timelines("Pod")["completed"].when(lambda one: one["status"].get("phase") == "Succeeded")
    _freed(ends, "completed")


@behaviour(
    "slices.ends.failure", level=MUST, spec=LIFE,
    red_when="a pod that has failed, and is still there, keeps its slice", mutant="wrong-port",
)  # fmt: skip
def test_failure_frees_the_slice(ends: SlicesRecording) -> None:
    """A pod whose container exits with an error gives its slice back before its object is deleted."""
    assert ends.timelines("Pod")["failed"].when(lambda one: one["status"].get("phase") == "Failed")
    _freed(ends, "failed")


@behaviour(
    "slices.ends.deletion", level=MUST, spec=LIFE,
    red_when="a pod that is deleted keeps its slice", mutant="termination-ignored",
)  # fmt: skip
def test_deletion_frees_the_slice(ends: SlicesRecording) -> None:
    """A pod that is deleted gives its slice back."""
    _freed(ends, "deleted")


@behaviour(
    "slices.ends.force-deletion", level=MUST, spec=f"{LIFE}#pod-termination-forced",
    red_when="a pod that is deleted with force keeps its slice, or the next one does not get it", mutant="held-back",
)  # fmt: skip
def test_force_deletion_frees_the_slice(ends: SlicesRecording) -> None:
    """A pod that is deleted with force gives its slice back, once the kubelet has ended it."""
    _freed(ends, "forced")


@behaviour(
    "slices.ends.conserved", level=MUST, spec=MIG,
    red_when="allocations, slices and CDI devices disagree after pods have ended in every way", mutant="request-lost",
)  # fmt: skip
def test_books_agree_after_every_end(ends: SlicesRecording) -> None:
    """After pods end in four ways, four new pods hold four slices, with matching allocations and CDI devices."""
    assert slices_rest.books_findings(ends, "again", slices=len(ENDS)) == [], ends.timeline_text()
    assert slices_seen.findings(ends) == [], ends.timeline_text()


@behaviour(
    "slices.ends.nothing-left", level=MUST, spec=MIG,
    red_when="one kind of pod end leaves a slice, a claim or a CDI device", mutant="behind-its-back",
)  # fmt: skip
def test_no_end_leaves_anything(ends: SlicesRecording) -> None:
    """After every kind of pod end no on-demand slice, claim or CDI device is left; static slices are unchanged."""
    assert slices_rest.left_findings(ends) == [], ends.timeline_text()


@per_slicer(timeout=60, outside=True)
def restarted_container(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A container ends and is started again by the kubelet, beside a pod that goes on."""
    with slicing.opened(lab, slicer, wants={"1g.5gb": 2}) as site:
        site.pod("restarted", "1g.5gb", 1, ("serve", 8080), ("wait",), restart="Always")
        site.pod("neighbour", "1g.5gb")
        site.observe_running("restarted", "neighbour")
        site.identify("restarted", "neighbour")
        site.ask("restarted", f"/exit?code={EXIT}")
        lab.observe(lambda: site.restarts("restarted") == 1 and site.answers("restarted"), "it was started again")
        lab.note(AGAIN, site.said("restarted"))
        site.note_rest("restarted")
        site.finish()


@behaviour(
    "slices.ends.container-restart", level=MUST, spec=f"{LIFE}#container-restarts",
    red_when="a container that is started again has no slice, or another one", mutant="restart-policy-lost",
)  # fmt: skip
def test_a_restarted_container_keeps_its_slice(restarted_container: SlicesRecording) -> None:
    """A container that is started again has the slice that it had before, and its neighbour keeps its own."""
    timeline = restarted_container.timeline_text()
    assert restarted_container.observed("it was started again"), (
        f"expected the container to be started again with its slice\n{timeline}"
    )
    before = slices_seen.given(restarted_container, "restarted")["main"]
    assert slices_rest.same_slices(before, restarted_container.note(AGAIN)), restarted_container.timeline_text()
    assert slices_rest.books_findings(restarted_container, "restarted", slices=2) == []
    assert slices_seen.findings(restarted_container) == [], restarted_container.timeline_text()


@behaviour(
    "slices.ends.restart-leaves-nothing", level=MUST, spec=MIG,
    red_when="a slice, a claim or a CDI device is left after a container's restart", mutant="termination-ignored",
)  # fmt: skip
def test_a_restart_leaves_nothing(restarted_container: SlicesRecording) -> None:
    """A deleted pod whose container was restarted leaves no on-demand slice, claim or CDI device."""
    assert slices_rest.left_findings(restarted_container) == [], restarted_container.timeline_text()
