"""What survives an upgrade of NVIDIA's device plugin or DRA driver while pods hold slices (-m upgrade)."""

from __future__ import annotations

import pytest

from gpuassay import MUST, Lab, behaviour
from gpuassay.systems.slices.acts import upgrade
from gpuassay.systems.slices.acts.pods import SlicerName
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.offers import lost_findings
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import DEVICE_PLUGINS, MIG
from suites.variants import per_variant

pytestmark = pytest.mark.upgrade

PROFILE = "1g.5gb"
ALL = ("before", "meanwhile", "later")

UPGRADES: dict[str, tuple[SlicerName, str]] = {
    "device-plugin-0.19.0": ("device-plugin", "0.19.0"),
    "dra-0.4.1": ("dra", "0.4.1"),
}
"""Slicer, and the version to which, or from which, it is upgraded: the other end is the suite's own."""

NEEDS = {
    name: {
        f"program:{component}"
        for component in (upgrade.PROGRAMS[slicer][0], f"{upgrade.PROGRAMS[slicer][0]}@{version}")
    }
    for name, (slicer, version) in UPGRADES.items()
}


@per_variant(NEEDS, lambda _, __: None, system="slices", timeout=120)
def slicer_upgraded(lab: Lab, name: str) -> None:
    """A pod holds a slice; the slicer's newer version takes its place; a pod that came meanwhile and one after run."""
    slicer, version = UPGRADES[name]
    geometry = {0: [PROFILE] * 4} if slicer == "device-plugin" else None
    with upgrade.opened(lab, slicer, version, gpus=["a100-40gb"], geometry=geometry) as site:
        site.pod("before", PROFILE)
        site.observe_running("before")
        site.identify("before")
        with upgrade.replaced(site, version):
            site.observe_withdrawn()
            site.pod("meanwhile", PROFILE)
            site.observe_stuck("meanwhile")
        site.observe_running("meanwhile")
        site.pod("later", PROFILE)
        site.observe_running("later")
        site.identify("meanwhile", "later")
        site.note_rest("after")
        lab.mark("looked at")
        site.finish()


@behaviour(
    "slices.upgrade.pods-run-on", level=MUST, spec=DEVICE_PLUGINS, mutant="containers-end-while-away",
    red_when="an upgrade of the slicer ends or restarts a pod with a slice, or destroys its slice",
)  # fmt: skip
def test_pods_run_on(slicer_upgraded: SlicesRecording) -> None:
    """The pod that held a slice when its slicer was upgraded runs on, on the same slice, without a restart."""
    survivors = {one.pod for one in slices_rest.surviving(slicer_upgraded, upgrade.UPGRADED)}
    assert "before" in survivors, slicer_upgraded.timeline_text()
    assert slices_seen.findings(slicer_upgraded) == [], slicer_upgraded.timeline_text()


@behaviour(
    "slices.upgrade.allocations-kept", level=MUST, spec=MIG, mutant="one-name-for-all",
    red_when="after an upgrade of the slicer the books miss an allocation, or a pod has another slice than is booked",
)  # fmt: skip
def test_allocations_are_kept(slicer_upgraded: SlicesRecording) -> None:
    """After the upgrade each of three pods has its own slice, and the books say so, of the one from before too."""
    assert slices_rest.books_findings(slicer_upgraded, "after", slices=len(ALL)) == [], slicer_upgraded.timeline_text()
    assert slices_rest.mixed_up_findings(slicer_upgraded, "after") == [], slicer_upgraded.timeline_text()


@behaviour(
    "slices.upgrade.offers-again", level=MUST, spec=DEVICE_PLUGINS, mutant="upgraded-slicer-ends",
    red_when="after an upgrade of the slicer the node offers fewer slices, or possible slices, than before",
)  # fmt: skip
def test_the_node_offers_what_it_offered(slicer_upgraded: SlicesRecording) -> None:
    """What the node offered before the upgrade, as allocatable resources or devices, it offers after it again."""
    begun, ended = slicer_upgraded.mark(upgrade.BEGINS), slicer_upgraded.mark("looked at")
    found = lost_findings(slicer_upgraded, begun, ended)
    assert found == [], f"{found}\n{slicer_upgraded.timeline_text()}"


@behaviour(
    "slices.upgrade.new-pods-run", level=MUST, spec=DEVICE_PLUGINS, mutant="upgraded-slicer-ends",
    red_when="a pod that asks for a slice during or after an upgrade of the slicer never runs",
)  # fmt: skip
def test_new_pods_get_slices(slicer_upgraded: SlicesRecording) -> None:
    """A pod that came while the slicer was away and one that came after the upgrade run, each on a slice."""
    assert slices_seen.ran(slicer_upgraded) >= set(ALL), slicer_upgraded.timeline_text()
    lacking = [pod for pod in ALL if len(slices_seen.given(slicer_upgraded, pod).get("main", [])) != 1]
    assert lacking == [], f"without a slice: {lacking}\n{slicer_upgraded.timeline_text()}"


@behaviour(
    "slices.upgrade.nothing-left", level=MUST, spec=MIG, mutant="termination-ignored",
    red_when="a slice, claim or CDI device that the old version made is left when its pod is gone",
)  # fmt: skip
def test_nothing_is_left(slicer_upgraded: SlicesRecording) -> None:
    """Pods from before, during and after the upgrade leave nothing: the new version cleans up for the old."""
    assert slices_rest.left_findings(slicer_upgraded) == [], slicer_upgraded.timeline_text()
