"""Deleted while the node side is away: slicer dead, kubelet hanging, preparation retried. Successors get each GPU once.

Three ways of deletion, of a pod that has its claim alone and of one that shares it; a successor waits in every case.
"""

from __future__ import annotations

from gpuassay import MUST, Lab, behaviour
from gpuassay.presence import must_have
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import away
from gpuassay.systems.slices.acts.away import CASES
from gpuassay.systems.slices.acts.node import SlicerName
from gpuassay.systems.slices.judge import accounts
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import per_slicer

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
LIFE = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"


@per_slicer(timeout=110, only=("device-plugin", "dra"))
def slicer_dead(lab: Lab, slicer: SlicerName) -> None:
    """Pods run; the slicer is killed; they are deleted and successors come; then the slicer is started."""
    with away.opened(lab, slicer) as site:
        site.fill()
        site.observe_filled()
        with site.node.slicer_away(kill=True):
            site.node.observe_withdrawn()
            site.remove()
            site.ask_successors()
        site.settle()


@per_slicer(timeout=110, only=("device-plugin", "dra"))
def kubelet_hangs(lab: Lab, slicer: SlicerName) -> None:
    """Pods run; the kubelet is stopped (SIGSTOP); they are deleted and successors come; then it goes on."""
    with away.opened(lab, slicer) as site:
        site.fill()
        site.observe_filled()
        with site.node.kubelet_frozen():
            site.remove()
            site.ask_successors()
        site.settle()


@per_slicer(timeout=110, only=("dra",))
def preparing(lab: Lab, slicer: SlicerName) -> None:
    """The driver is dead when pods come, so that the kubelet goes on trying; they are deleted; then it is started."""
    with away.opened(lab, slicer) as site:
        with site.node.slicer_away(kill=True):
            site.fill()
            for one in site.cases:
                site.node.observe_stuck(one.name)
            site.remove()
            site.ask_successors()
        site.node.observe_running(*(one.partner for one in site.shared))
        site.node.identify(*(one.partner for one in site.shared))
        site.settle()


def _succeeded(recording: SlicesRecording) -> None:
    """Every successor ran on one slice, which no other container had at the time."""
    cases, timeline = away.cases_of(recording.note(notes.SLICER)), recording.timeline_text()
    ran = slices_seen.ran(recording)
    waiting = [one.name for one in cases if one.successor not in ran]
    assert waiting == [], f"expected the successor of every pod to run, not so: {', '.join(waiting)}\n{timeline}"
    given = {one.name: slices_seen.given(recording, one.successor)["main"] for one in cases}
    odd = {name: uuids for name, uuids in given.items() if len(uuids) != 1}
    assert odd == {}, f"expected one slice for each successor, seen {odd}\n{timeline}"
    together = recording.note(notes.TOGETHER)
    assert together == [], f"expected every slice in one container at a time, seen {together}\n{timeline}"


def _kept(recording: SlicesRecording) -> None:
    """Whoever shares the claim of a deleted pod runs on as the node has it, on the slice that it was given."""
    timeline = recording.timeline_text()
    staying = {one.pod: one for one in slices_rest.surviving(recording, "partners-go")}
    lost = [one.partner for one in CASES if one.shared and one.partner not in staying]
    assert lost == [], f"expected pods that share a claim to go on running, not so: {', '.join(lost)}\n{timeline}"
    containers = recording.note(notes.ACCOUNTS)["after"].containers
    alive = {one.pod: one.slices for one in containers if one.processes}
    odd = {name: alive.get(name) for name, run in staying.items() if alive.get(name) != list(run.held)}
    restarts = [name for name in lost if name not in alive]
    assert (odd, restarts) == ({}, []), f"expected them to live on what they were given, seen {odd}\n{timeline}"
    assert all(len(one.held) == 1 for one in staying.values()), f"expected one slice for each\n{timeline}"


def _agreed(recording: SlicesRecording) -> None:
    """All deletions have come to their end, and five accounts agree, also after a restart of kubelet and slicer."""
    taken, timeline = recording.note(notes.ACCOUNTS), recording.timeline_text()
    must_have(
        [one for one in taken["held-again"].containers if one.processes], "containers that live after the restart"
    )
    stuck = [
        one.name for one in away.cases_of(recording.note(notes.SLICER)) if not recording.observed(f"gone: {one.name}")
    ]
    assert stuck == [], f"expected every deletion to end, not so: {', '.join(stuck)}\n{timeline}"
    found = accounts.findings(recording)
    assert found == [], f"expected five accounts to agree, seen {'; '.join(found)}\n{timeline}"


@behaviour(
    "slices.away.slicer-dead-succeeded", level=MUST, spec=LIFE,
    red_when="a pod that was deleted without a MIG provider keeps its slice, or two containers have it at once",
    mutant="held-back",
)  # fmt: skip
def test_pods_deleted_without_their_slicer_are_succeeded(slicer_dead: SlicesRecording) -> None:
    """Slices of pods deleted, forced or not, without a MIG provider are given to later pods, each to one."""
    _succeeded(slicer_dead)


@behaviour(
    "slices.away.slicer-dead-agreed", level=MUST, spec=LIFE,
    red_when="a deletion without MIG provider never ends, or API, checkpoint, CDI, GPU and containers then differ",
    mutant="termination-ignored",
)  # fmt: skip
def test_accounts_agree_after_deletions_without_the_slicer(slicer_dead: SlicesRecording) -> None:
    """Pods deleted without a MIG provider go; API, checkpoint, CDI, GPU, containers agree, also after a restart."""
    _agreed(slicer_dead)


@behaviour(
    "slices.away.kubelet-hangs-succeeded", level=MUST, spec=LIFE,
    red_when="a pod that was deleted while the kubelet hung keeps its slice, or two containers have it at once",
    mutant="held-back",
)  # fmt: skip
def test_pods_deleted_without_their_kubelet_are_succeeded(kubelet_hangs: SlicesRecording) -> None:
    """Slices of pods deleted, forced or not, while the kubelet hung are given to later pods, each to one."""
    _succeeded(kubelet_hangs)


@behaviour(
    "slices.away.kubelet-hangs-agreed", level=MUST, spec=LIFE,
    red_when="a deletion without kubelet never ends, or API, checkpoint, CDI, GPU and containers differ afterwards",
    mutant="termination-ignored",
)  # fmt: skip
def test_accounts_agree_after_deletions_without_the_kubelet(kubelet_hangs: SlicesRecording) -> None:
    """Pods deleted while the kubelet hung go; API, checkpoint, CDI, GPU, containers agree, also after a restart."""
    _agreed(kubelet_hangs)


@behaviour(
    "slices.away.preparing-succeeded", level=MUST, spec=CLAIMS,
    red_when="a pod that was deleted while its claim was being prepared keeps its slice, or two containers have it",
    mutant="held-back",
)  # fmt: skip
def test_pods_deleted_in_preparation_are_succeeded(preparing: SlicesRecording) -> None:
    """Slices of pods deleted, forced or not, while preparation was retried are given to later pods, each to one."""
    _succeeded(preparing)


@behaviour(
    "slices.away.preparing-agreed", level=MUST, spec=CLAIMS,
    red_when="a deletion in preparation never ends, or API, checkpoint, CDI, GPU and containers differ afterwards",
    mutant="slice-never-freed",
)  # fmt: skip
def test_accounts_agree_after_deletions_in_preparation(preparing: SlicesRecording) -> None:
    """Pods deleted in a retried preparation go; API, checkpoint, CDI, GPU, containers agree, also after a restart."""
    _agreed(preparing)


@behaviour(
    "slices.away.slicer-dead-partner", level=MUST, spec=CLAIMS,
    red_when="a pod loses its slice because another that shares its claim was deleted while the driver was dead",
    mutant="containers-end-while-away",
)  # fmt: skip
def test_who_shares_a_claim_keeps_it_without_the_driver(slicer_dead_dra: SlicesRecording) -> None:
    """Of two pods that share a claim one is deleted while the driver is dead; the other lives on, on its slice."""
    _kept(slicer_dead_dra)


@behaviour(
    "slices.away.kubelet-hangs-partner", level=MUST, spec=CLAIMS,
    red_when="a pod loses its slice because another that shares its claim was deleted while the kubelet hung",
    mutant="containers-end-while-away",
)  # fmt: skip
def test_who_shares_a_claim_keeps_it_without_the_kubelet(kubelet_hangs_dra: SlicesRecording) -> None:
    """Of two pods that share a claim one is deleted while the kubelet hangs; the other lives on, on its slice."""
    _kept(kubelet_hangs_dra)
