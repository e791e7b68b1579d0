"""What DAS does wrong, each with a reproducer that shows it every time; what shows by chance is measured elsewhere.

Verified with commit 9f4fc07f. Slices on fake GPUs are refused as on hardware, so a real GPU shows the same.
"""

from __future__ import annotations

from typing import cast

from gpuassay import INFO, MUST, Lab, Measure, behaviour, known_defect, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.das import DasSite
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.das_known import DAS, DAS_PROGRAM, NO_MEDIA, SOURCE
from suites.slices.slicers import MIG

SMALL, LARGE = "1g.5gb", "3g.20gb"
BURST = tuple(f"pod-{number}" for number in range(7))
"""All that one GPU holds; that seven claims are picked at random and every pod gets its own: once in 5040 runs."""
SERVER = f"{SOURCE}/daemonset/deviceplugins/server.go"
DISCOVERY = f"{SOURCE}/daemonset/deviceplugins/discovery.go"
INSUFFICIENT_RESOURCES = 23


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=80)
def das_burst(lab: Lab) -> None:
    """Seven pods are bound while the kubelet is suspended, so all their claims wait when it admits the first."""
    with slicing.opened(lab, "das", gpus=["a100-40gb"]) as opened:
        site = cast("DasSite", opened)
        with site.kubelet_frozen():
            for name in BURST:
                site.pod(name, SMALL)
            site.observe_bound(*BURST)
        site.observe_running(*BURST)
        site.identify(*BURST)
        site.note_rest("full")
        site.finish()


@behaviour(
    "slices.das.burst-unshared", level=MUST, spec=MIG,
    red_when="two pods of a burst run on one slice, or one runs without a slice", mutant="one-name-for-all",
)  # fmt: skip
def test_das_burst_shares_no_slice(das_burst: SlicesRecording) -> None:
    """Seven pods that fill a GPU run on seven slices, with seven AllocationClaims and CDI devices."""
    assert slices_seen.ran(das_burst) == set(BURST), das_burst.timeline_text()
    assert slices_seen.findings(das_burst) == [], das_burst.timeline_text()
    assert slices_rest.books_findings(das_burst, "full", slices=len(BURST)) == [], das_burst.timeline_text()


@behaviour(
    "slices.das.burst-identity", level=MUST, spec=MIG,
    red_when="a pod is given the slice of another pod's claim", mutant="one-name-for-all",
)  # fmt: skip
@known_defect(
    SERVER, "a pod is given any claim of its profile that is waiting, not its own",
    shows=r"pod \S+ was given MIG-\S+, which is \S+'s",
)  # fmt: skip
def test_das_burst_mixes_no_claims_up(das_burst: SlicesRecording, measure: Measure) -> None:
    """Each of seven pods that are bound before the first is admitted has the slice of its own claim."""
    found = slices_rest.mixed_up_findings(das_burst, "full")
    measure.value(pods=len(slices_seen.runs(das_burst)), mixed_up=len(found))
    assert found == [], f"{'; '.join(found)}\n{das_burst.timeline_text()}"


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60)
def das_failed_creation(lab: Lab) -> None:
    """The driver refuses to make a slice once; the pod fails and is deleted; then another pod asks."""
    with slicing.opened(lab, "das", gpus=["a100-40gb"]) as opened:
        site = cast("DasSite", opened)
        site.silicon.inject("nvmlDeviceCreateGpuInstanceWithPlacement", INSUFFICIENT_RESOURCES)
        site.pod("unlucky", SMALL)
        site.observe_ended("unlucky")
        site.note_rest("failed")
        site.delete("unlucky")
        site.pod("next", SMALL)
        site.observe_running("next")
        site.identify("next")
        site.note_rest("after")
        site.finish()


@behaviour(
    "slices.das.failure-told", level=MUST, spec=DAS,
    red_when="a pod whose slice could not be created runs, or its status does not say why it failed",
    mutant="request-lost",
)  # fmt: skip
def test_das_tells_that_a_slice_could_not_be_made(das_failed_creation: SlicesRecording) -> None:
    """A pod whose slice could not be created ends as Failed with the driver's error, and the next pod runs."""
    final = das_failed_creation.timelines("Pod")["unlucky"].final
    assert final["status"]["phase"] == "Failed", das_failed_creation.timeline_text()
    assert "create GPU instance" in final["status"].get("message", "")
    assert slices_seen.ran(das_failed_creation) == {"next"}, das_failed_creation.timeline_text()
    assert slices_seen.findings(das_failed_creation) == [], das_failed_creation.timeline_text()


@behaviour(
    "slices.das.failure-leaves-nothing", level=MUST, spec=DAS,
    red_when="the claim of a slice that could not be made is left when its pod is gone", mutant="termination-ignored",
)  # fmt: skip
@known_defect(
    SERVER, "the claim of a failed Allocate stays in processing for ever, and takes its place",
    shows="claim of unlucky is left",
)  # fmt: skip
def test_das_leaves_nothing_of_a_failed_creation(das_failed_creation: SlicesRecording) -> None:
    """After the deletion of the pod whose slice could not be made no claim of it is left."""
    found = slices_rest.left_findings(das_failed_creation)
    assert found == [], f"{'; '.join(found)}\n{das_failed_creation.timeline_text()}"


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60)
def das_profiles(lab: Lab) -> None:
    """Pods ask for a profile with twice the memory, and for one with media extensions by DAS's name of it."""
    with slicing.opened(lab, "das") as opened:
        site = cast("DasSite", opened)
        site.pod("memory", "1g.10gb")
        site.observe_running("memory", timeout=15)
        site.pod_of_resource("media", f"mig.das.com/{SMALL}-plus-me")
        site.observe_running("media", timeout=20)
        site.identify("memory", "media")
        site.note_rest("full")
        site.finish()


@behaviour(
    "slices.das.double-memory", level=MUST, spec=f"{MIG}#supported-mig-profiles",
    red_when="a pod that asks for 1g.10gb on an A100 of 40 GB does not run", mutant="request-lost",
)  # fmt: skip
@known_defect(
    DISCOVERY, "NVML does not know the id that DAS has of its compute profile",
    shows="expected a pod to run on a slice of double memory",
)  # fmt: skip
def test_das_makes_slices_of_double_memory(das_profiles: SlicesRecording) -> None:
    """A pod that asks for 1g.10gb, which its node offers, runs on such a slice."""
    ran = slices_seen.ran(das_profiles)
    assert ran, f"expected some pod to run\n{das_profiles.timeline_text()}"
    assert "memory" in ran, f"expected a pod to run on a slice of double memory\n{das_profiles.timeline_text()}"
    assert len(slices_seen.given(das_profiles, "memory")["main"]) == 1


@behaviour(
    "slices.das.media-extensions", level=MUST, spec=f"{MIG}#supported-mig-profiles",
    red_when="a pod that asks for 1g.5gb+me by DAS's name runs without such a slice", mutant="one-name-for-all",
)  # fmt: skip
@known_defect(f"{SOURCE}/scheduler/plugins/mig/mig.go", "+me is cut off when the profile is read", shows=NO_MEDIA)
def test_das_gives_media_extensions(das_profiles: SlicesRecording) -> None:
    """A pod that asks for `mig.das.com/1g.5gb-plus-me` runs on a slice with the media engines."""
    known = {one.slice.uuid: one.slice.profile for one in slices_seen.changes(das_profiles)}
    given = slices_seen.given(das_profiles, "media").get("main", [])
    seen, timeline = [known.get(uuid) for uuid in given], das_profiles.timeline_text()
    assert "media" in slices_seen.ran(das_profiles), f"expected the pod to run\n{timeline}"
    assert seen == [f"{SMALL}+me"], f"{NO_MEDIA}, but {seen}\n{timeline}"


WAITING = tuple(f"waiting-{number}" for number in range(6))


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60)
def das_all_deleted(lab: Lab) -> None:
    """Two pods fill a GPU and six wait; all are deleted at once, so that some are placed while they are deleted."""
    with slicing.opened(lab, "das", gpus=["a100-40gb"]) as opened:
        site = cast("DasSite", opened)
        names = [site.pod(name, LARGE) for name in ("one", "two")]
        site.observe_running(*names)
        for name in WAITING:
            site.pod(name, LARGE)
        site.observe_refused(*WAITING)
        site.finish()


@behaviour(
    "slices.das.leaked-claims", level=INFO, spec=DAS,
    red_when="a slice, a CDI device or a pod is left once all pods are deleted at once", mutant="termination-ignored",
)  # fmt: skip
def test_das_leaked_claims_are_counted(das_all_deleted: SlicesRecording, measure: Measure) -> None:
    """Pods that are deleted at once leave no slice or CDI device; claims that a race leaks are only counted."""
    rest = das_all_deleted.note(notes.REST)["end"]
    measure.value(leaked_claims=len(rest.allocated or ()), waiting=len(WAITING))
    assert (rest.slices, rest.cdi, rest.pods) == ([], [], [])
    assert len(das_all_deleted.timelines("Pod")) == 2 + len(WAITING)
