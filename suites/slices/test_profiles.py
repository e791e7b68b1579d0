"""Every profile of every GPU that is sold for MIG today is made once, on demand: H100, H200, B200 and A30."""

from __future__ import annotations

from gpuassay import MUST, Lab, behaviour
from gpuassay.gpus import MigProfile, gpu_model
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.real_node import ended
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import MIG, per_slicer

GPUS = ("h100-80gb", "h200-141gb", "b200-180gb", "a30-24gb")
"""No two have a profile of one name."""
PATIENCE = 75.0
"""Seconds for all pods of a scenario, one after the other on each GPU."""


def _profiles(*, whole: bool) -> list[MigProfile]:
    """The profiles of all GPUs: those that take a whole one, or the others."""
    models = map(gpu_model, GPUS)
    return [one for model in models for one in model.profiles if (one.size == model.memory_slices) == whole]


def _pod(profile: MigProfile) -> str:
    return "p-" + profile.name.replace(".", "-").replace("+", "-")


def _make(site: slicing.SlicedNode, profiles: list[MigProfile], patience: float = PATIENCE) -> None:
    """A pod for each, which says what it was given and ends; who finds no place waits until another has ended."""
    names = [site.pod(_pod(one), one.name, 1, ("exit", 0)) for one in profiles]
    site.lab.observe(lambda: ended(site.lab, *names), "all have ended", timeout=patience)


@per_slicer(timeout=120, only=("dra",))
def parts(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A pod for each profile that is a part of a GPU."""
    with slicing.opened(lab, slicer, gpus=GPUS) as site:
        _make(site, _profiles(whole=False))
        site.finish()


@per_slicer(timeout=110, only=("dra",))
def wholes(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A pod for each profile that takes a whole GPU."""
    with slicing.opened(lab, slicer, gpus=GPUS, agreeing=False) as site:  # #1480
        _make(site, _profiles(whole=True), 30)
        site.finish()


def _made(recording: SlicesRecording, profiles: list[MigProfile]) -> None:
    """The pod of each profile ended well, and a slice of that profile was made with compute on it."""
    made = {one.slice.profile for one in slices_seen.changes(recording) if one.made and one.slice.uuid}
    pods = recording.timelines("Pod")
    done = {name for name, pod in pods.items() if pod.when(lambda one: one["status"].get("phase") == "Succeeded")}
    missing = [one.name for one in profiles if one.name not in made or _pod(one) not in done]
    assert missing == [], (
        f"expected a slice of every profile, none of {', '.join(missing)}\n{recording.timeline_text()}"
    )


@behaviour(
    "slices.profiles.parts", level=MUST, spec=MIG,
    red_when="a profile of H100, H200, B200 or A30 can be asked for and cannot be had", mutant="held-back",
)  # fmt: skip
def test_every_part_of_every_gpu_can_be_had(parts: SlicesRecording) -> None:
    """Every MIG profile of H100, H200, B200 and A30 that is a part of the GPU is made for a pod that asks for it."""
    _made(parts, _profiles(whole=False))


@behaviour(
    "slices.profiles.wholes", level=MUST, spec=MIG,
    red_when="a whole GPU cannot be had as one slice", mutant="held-back",
)  # fmt: skip
def test_every_gpu_can_be_had_as_one_slice(wholes: SlicesRecording) -> None:
    """The MIG profile that takes all of an H100, H200, B200 or A30 is made for a pod that asks for it."""
    _made(wholes, _profiles(whole=True))
