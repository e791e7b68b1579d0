"""What a pod may ask for: several slices, several containers, init containers, profiles beside each other."""

from __future__ import annotations

from gpuassay import MUST, Lab, Note, behaviour
from gpuassay.silicon import Geometry, seed
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.told import stands_for
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.das_known import NO_MEDIA, ONE_OF_TWO
from suites.slices.elsewhere import different
from suites.slices.slicers import DEVICE_PLUGINS, MIG, per_slicer

STATIC = {
    0: ["2g.10gb", *["1g.5gb"] * 5],
    1: [("3g.20gb", 4), ("2g.10gb", 0), ("1g.5gb", 2)],
}
WANTS = {"1g.5gb": 6, "2g.10gb": 1, "3g.20gb": 1}
SMALL, MEDIUM, LARGE, MEDIA = "1g.5gb", "2g.10gb", "3g.20gb", "1g.5gb+me"
UNKNOWN = "9g.99gb"
INIT = "https://kubernetes.io/docs/concepts/workloads/pods/init-containers/"
SHAPES = ("several", "containers", "prepared", "mixed")


OFFERS = Note("offers", dict[str, int], "how many slices of each profile the node offers")


@per_slicer(timeout=70, outside=True)
def shapes(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Pods of every shape on two GPUs, and one that asks for a profile that no GPU has."""
    geometry = STATIC if slicer == "device-plugin" else None
    # a container that asks the device plugin for two profiles is told of one (k8s-device-plugin#728)
    agreeing = slicer != "device-plugin"
    with slicing.opened(lab, slicer, geometry=geometry, wants=WANTS, agreeing=agreeing) as site:
        site.pod("impossible", UNKNOWN)
        site.pod("mixed", "", containers_=[site.container_of("main", {LARGE: 1, SMALL: 1})])
        site.pod("containers", "", containers_=[site.container("one", SMALL), site.container("two", MEDIUM)])
        site.pod("several", SMALL, 3)
        first = site.container("first", SMALL, 1, ("exit", 0))
        site.pod("prepared", SMALL, spec={"initContainers": [first]})
        site.observe_running(*SHAPES)
        site.observe_refused("impossible")
        site.identify(*SHAPES)
        site.note_rest("full")
        site.finish()


def _profiles(recording: SlicesRecording, pod: str) -> dict[str, list[str]]:
    """Profiles of the slices that each container of the pod was given."""
    known = {one.slice.uuid: one.slice.profile for one in slices_seen.changes(recording)}
    given = slices_seen.given(recording, pod).items()
    return {name: sorted(known.get(uuid, f"unknown {uuid}") for uuid in uuids) for name, uuids in given}


@behaviour(
    "slices.shapes.several", level=MUST, spec=MIG,
    red_when="a container that asks for three slices gets another number, or one twice", mutant="another-profile",
)  # fmt: skip
def test_a_container_gets_several_slices(shapes: SlicesRecording) -> None:
    """A container that asks for three slices of a profile gets three different ones."""
    assert _profiles(shapes, "several") == {"main": [stands_for(shapes, SMALL)] * 3}, shapes.timeline_text()
    assert len(set(slices_seen.given(shapes, "several")["main"])) == 3


@behaviour(
    "slices.shapes.containers", level=MUST, spec=DEVICE_PLUGINS,
    red_when="a container of a pod gets the slice of another container", mutant="one-name-for-all",
)  # fmt: skip
def test_each_container_gets_its_own_slice(shapes: SlicesRecording) -> None:
    """Two containers of a pod that ask for slices of different profiles get one each, of their profile."""
    small, medium = stands_for(shapes, SMALL), stands_for(shapes, MEDIUM)
    assert _profiles(shapes, "containers") == {"one": [small], "two": [medium]}, shapes.timeline_text()
    one, two = slices_seen.given(shapes, "containers").values()
    assert not set(one) & set(two), shapes.timeline_text()


@behaviour(
    "slices.shapes.init-container", level=MUST, spec=INIT,
    red_when="an init container has no slice, or the container after it has none", mutant="another-profile",
)  # fmt: skip
def test_an_init_container_has_a_slice(shapes: SlicesRecording) -> None:
    """An init container has the slice that it asks for, and after its end so has the container that follows."""
    small = [stands_for(shapes, SMALL)]
    assert _profiles(shapes, "prepared") == {"first": small, "main": small}, shapes.timeline_text()


@behaviour(
    "slices.shapes.mixed-profiles", level=MUST, spec=DEVICE_PLUGINS,
    red_when="a container that asks for two profiles sees only one of its slices", mutant="another-profile",
)  # fmt: skip
def test_a_container_gets_slices_of_two_profiles(shapes: SlicesRecording) -> None:
    """A container that asks for a slice of each of two profiles is given both."""
    both = sorted(different(shapes, SMALL, LARGE))
    seen, timeline = _profiles(shapes, "mixed").get("main", []), shapes.timeline_text()
    assert seen not in ([SMALL], [LARGE]), f"{ONE_OF_TWO}: {seen}\n{timeline}"
    assert seen == both, f"expected slices of {both}, seen {seen}\n{timeline}"


@behaviour(
    "slices.shapes.conserved", level=MUST, spec=MIG,
    red_when="a slice of a pod has no allocation, or an allocation has no slice", mutant="request-lost",
)  # fmt: skip
def test_books_agree_for_every_shape(shapes: SlicesRecording) -> None:
    """Pods of every shape together hold eight allocated slices, as an init container's slice is reused."""
    assert slices_rest.books_findings(shapes, "full", slices=8) == [], shapes.timeline_text()


@behaviour(
    "slices.shapes.unsupported", level=MUST, spec=f"{MIG}#supported-mig-profiles",
    red_when="a pod that asks for an unknown profile runs, or its condition does not say why it waits",
    mutant="request-lost",
)  # fmt: skip
def test_an_unsupported_profile_waits_with_a_reason(shapes: SlicesRecording) -> None:
    """A pod that asks for a profile that does not exist is never placed, and the message names the resource."""
    assert "impossible" not in slices_seen.ran(shapes), shapes.timeline_text()
    told = slices_seen.unscheduled(shapes, "impossible")
    assert told, shapes.timeline_text()
    assert any(f"{name}{UNKNOWN}" in told[-1][1] for name in ("nvidia.com/mig-", "mig.das.com/")), told


@behaviour(
    "slices.shapes.nothing-left", level=MUST, spec=MIG,
    red_when="a pod with several slices or containers leaves a slice, a claim or a CDI device",
    mutant="termination-ignored",
)  # fmt: skip
def test_no_shape_leaves_anything(shapes: SlicesRecording) -> None:
    """When pods of every shape are deleted, no on-demand slice is left, and static slices are unchanged."""
    assert slices_rest.left_findings(shapes) == [], shapes.timeline_text()


@per_slicer(timeout=60)
def media(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A pod asks for a slice with media extensions; for the device plugin one is created before the plugin restarts."""
    geometry: Geometry | None = {0: [SMALL]} if slicer == "device-plugin" else None
    with slicing.opened(lab, slicer, gpus=["a100-40gb"], geometry=geometry) as site:
        if slicer == "device-plugin":
            seed(site.silicon, {0: [MEDIA]})
            site.part.stop()
            site.observe_withdrawn()
            site.part.start()
            lab.observe(lambda: site.offers(SMALL) + site.offers(MEDIA) == 2, "both slices are offered")
        lab.note(OFFERS, {profile: site.offers(profile) for profile in (SMALL, MEDIA)})
        site.pod("media", MEDIA)
        # what a device plugin did not offer, it will not; a scheduler of claims may look once more
        final = slicer == "device-plugin"
        lab.observe(lambda: site.runs("media") or (final and site.refused("media")), "media is decided", timeout=15)
        site.identify("media")
        site.delete("media")


@behaviour(
    "slices.shapes.media-extensions", level=MUST, spec=f"{MIG}#supported-mig-profiles",
    red_when="a slice with media extensions cannot be requested by NVIDIA's resource name", mutant="request-lost",
)  # fmt: skip
def test_a_slice_with_media_extensions_can_be_had(media: SlicesRecording) -> None:
    """A pod that asks for `mig-1g.5gb.me` gets the one slice of a GPU that has the media engines."""
    seen, timeline = _profiles(media, "media"), media.timeline_text()
    decided = media.timelines("Pod")["media"].final.get("status", {})
    assert decided.get("conditions"), f"expected somebody to decide on the pod that asks for {MEDIA}\n{timeline}"
    assert seen.get("main") == [MEDIA], f"{NO_MEDIA}, but {seen}\n{timeline}"
