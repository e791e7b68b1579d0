"""Whole GPUs that break: withdrawn from what the node offers, given to nobody, and offered again once they are well."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour, known_defect, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import operator_node as gpu_operator
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.judge import gpu_labels
from gpuassay.systems.slices.judge.gpu_labels import GPU
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import PLUGIN

NEEDS = ("program:nvidia-device-plugin",)
XIDS = "https://docs.nvidia.com/deploy/xid-errors/"
MODEL = "a100-40gb"
APPLICATION = 31
"""GPU memory page fault: an error of the program that ran, says NVIDIA's Xid catalogue; the GPU is well."""
FATAL = 79
"""The GPU has fallen off the bus."""
PODS = ("first", "second", "third")
"""One too many, once a GPU is broken."""
SECONDS = 10.0
"""Within which a broken GPU must be withdrawn: ten times what a crowded machine took."""


@scenario(system="slices", needs=NEEDS, timeout=120)
def broken_gpus(lab: Lab) -> None:
    """Of three GPUs one has an application's Xid, one has a fatal Xid and is repaired, and one is lost."""
    with gpu_operator.operated(lab, gpus=[MODEL] * 3, mig=False, configs={}) as node:
        node.observe_offers({GPU: 3}, "well")
        node.disturb()
        node.silicon.xid(0, APPLICATION)  # events are read in order: what follows shows that this one was
        lab.mark("broken")
        node.silicon.xid(1, FATAL)
        node.observe_offers({GPU: 2}, "broken", timeout=2 * SECONDS)
        for name in PODS:
            node.pod(name, GPU)

        def decided() -> bool:
            return all(slices.running(lab, name) or slices.refused(lab, name) for name in PODS)

        lab.observe(decided, "every pod runs or is refused")
        node.note_given(*(name for name in PODS if slices.running(lab, name)))
        node.delete(*PODS)
        node.mend()
        node.observe_offers({GPU: 3}, "mended", timeout=SECONDS)
        node.restart_plugin()
        node.observe_offers({GPU: 3}, "restarted")
        lab.mark("lost")
        node.silicon.lose(2)
        node.silicon.xid(2, FATAL)
        lab.observe(lambda: node.offers().get(GPU, 0) < 3, "a lost GPU withdrawn", timeout=2 * SECONDS)
        node.observe_offers({GPU: 2}, "lost", timeout=3)


def _seconds_until(recording: SlicesRecording, mark: str, count: int) -> float | None:
    """Seconds from a mark until the node offered `count` GPUs; None if it never did."""
    begun: int = recording.mark(mark)
    for event in recording.of("Node"):
        if event.name == recording.note(notes.NODE) and event.at >= begun:
            offered = gpu_labels.offered_of(event.object).get(GPU, 0)
            if offered == count:
                return (event.at - begun) / 1e9
    return None


@behaviour(
    "slices.health.gpu", level=MUST, spec=XIDS, timed=True,
    red_when="a broken GPU is still allocatable, or a healthy one is withdrawn", mutant="errors-unheard",
)  # fmt: skip
def test_a_broken_gpu_is_withdrawn(broken_gpus: SlicesRecording) -> None:
    """After a fatal Xid on one of three GPUs the node's allocatable is two GPUs."""
    assert broken_gpus.note(notes.OFFERS)["broken"] == {GPU: 2}, broken_gpus.timeline_text()


@behaviour(
    "slices.health.gpu-soon", level=SHOULD, spec=XIDS, timed=True,
    red_when=f"a broken GPU stays allocatable for longer than {SECONDS:g} s", mutant="errors-unheard",
)  # fmt: skip
def test_a_broken_gpu_is_withdrawn_soon(broken_gpus: SlicesRecording, measure: Measure) -> None:
    """Within seconds of a fatal Xid the node's allocatable has one GPU less; the time is measured."""
    seconds = _seconds_until(broken_gpus, "broken", 2)
    measure.threshold(SECONDS)
    if seconds is not None:
        measure.value(seconds=seconds)
    assert seconds is not None, broken_gpus.timeline_text()
    assert seconds <= SECONDS, broken_gpus.timeline_text()


@behaviour(
    "slices.health.gpu-unused", level=MUST, spec=XIDS, timed=True,
    red_when="a pod is given a GPU that is known to be broken", mutant="errors-unheard",
)  # fmt: skip
def test_no_pod_is_given_a_broken_gpu(broken_gpus: SlicesRecording) -> None:
    """With one of three GPUs broken two of three pods run, each on one of the two healthy GPUs."""
    first, _, third = broken_gpus.note(notes.UUIDS)
    given = broken_gpus.note(notes.GIVEN)
    assert sorted(one for told in given.values() for one in told) == sorted([first, third]), broken_gpus.timeline_text()


@known_defect(
    f"{PLUGIN}/issues/1014", "nothing brings a device back that was unhealthy once, but a restart",
    shows="expected 3 GPUs on offer once all are well, seen 2",
)  # fmt: skip
@behaviour(
    "slices.health.gpu-heals", level=SHOULD, spec=XIDS,
    red_when="a repaired GPU does not become allocatable again",
)  # fmt: skip
def test_a_mended_gpu_is_offered_again(broken_gpus: SlicesRecording) -> None:
    """A repaired GPU becomes allocatable again without intervention."""
    seen = broken_gpus.note(notes.OFFERS)["mended"].get(GPU)
    assert seen == 3, f"expected 3 GPUs on offer once all are well, seen {seen}\n{broken_gpus.timeline_text()}"


@behaviour(
    "slices.health.restart-heals", level=MUST, spec=f"{PLUGIN}/issues/1014", timed=True,
    red_when="not even a restart of the device plugin makes a repaired GPU allocatable again", mutant="slicer-hangs",
)  # fmt: skip
def test_a_restart_brings_a_mended_gpu_back(broken_gpus: SlicesRecording) -> None:
    """After a restart of the device plugin a repaired GPU is allocatable again, as NVIDIA advises."""
    assert broken_gpus.note(notes.OFFERS)["restarted"] == {GPU: 3}, broken_gpus.timeline_text()


@behaviour(
    "slices.health.lost", level=MUST, spec=XIDS, timed=True,
    red_when="a lost GPU is still allocatable", mutant="errors-unheard",
)  # fmt: skip
def test_a_lost_gpu_is_withdrawn(broken_gpus: SlicesRecording, measure: Measure) -> None:
    """A lost GPU is no longer allocatable; how many other GPUs are withdrawn with it is measured."""
    node = [one for one in broken_gpus.of("Node") if one.name == broken_gpus.note(notes.NODE)]
    offered = {gpu_labels.offered_of(one.object).get(GPU, 0) for one in node}
    assert 3 in offered, f"expected all three GPUs on offer at first, seen {sorted(offered)}"
    left = broken_gpus.note(notes.OFFERS)["lost"].get(GPU, 0)
    measure.value(others_left=left, others_well=2)
    assert left <= 2, broken_gpus.timeline_text()
    assert _seconds_until(broken_gpus, "lost", left) is not None, broken_gpus.timeline_text()
