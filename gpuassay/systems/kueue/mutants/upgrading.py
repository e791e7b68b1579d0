"""Kueue whose upgrade does harm."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.scenarios.mutants import Mutant, mutant, register

if TYPE_CHECKING:
    from gpuassay.systems.kueue.acts.lab import KueueLab


def _upgrade(name: str, breaks: str) -> Callable[[Callable[[KueueLab], None]], object]:
    def declare(harm: Callable[[KueueLab], None]) -> object:
        register(Mutant(name, breaks, copy.deepcopy, disturb_upgrade=harm))
        return harm

    return declare


def _admitted(lab: KueueLab) -> set[str]:
    return {name_of(one) for one in lab.objects("Workload") if is_true(one, "Admitted")}


@_upgrade("upgrade-evicts", "an upgrade evicts whatever is admitted, and lets it in again")
def _evicts(lab: KueueLab) -> None:
    admitted = _admitted(lab)
    for active in (False, True):
        for name in admitted:
            try:
                lab.api.patch("Workload", name, {"spec": {"active": active}}, namespace=lab.namespace)
            except ApiRefused as refused:
                if refused.status != 404:  # that of a pod goes with it, which its eviction deletes
                    raise
        if not active:
            lab.until(lambda: not _admitted(lab) & admitted, "what was admitted is evicted")


@_upgrade("upgrade-forgets-limits", "an upgrade drops the cohort that a ClusterQueue belongs to")
def _forgets(lab: KueueLab) -> None:
    for queue in lab.objects("ClusterQueue"):
        field = "cohortName" if "cohortName" in queue["spec"] else "cohort"
        if dig(queue, "spec", field):
            lab.api.patch("ClusterQueue", name_of(queue), {"spec": {field: None}})


@_upgrade("upgrade-lifts-holds", "an upgrade lifts the Hold of every queue")
def _lifts(lab: KueueLab) -> None:
    for queue in lab.objects("ClusterQueue"):
        lab.api.patch("ClusterQueue", name_of(queue), {"spec": {"stopPolicy": "None"}})


@mutant("late-job-unlabelled", "a job that comes after an upgrade loses the label of its queue")
def _unlabelled(obj: Manifest) -> None:
    if obj["kind"] == "Job" and name_of(obj) == "late":
        dig(obj, "metadata", "labels", default={}).pop(labels.QUEUE_NAME, None)
