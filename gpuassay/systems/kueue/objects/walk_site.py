"""Draws where a random walk goes: cohort trees, quotas with limits, policies, flavors. Pure."""

from __future__ import annotations

import random
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walks import Cohort, Queue, Site

TAINT: Manifest = {"key": "gpuassay.io/walk", "value": "special", "effect": "NoSchedule"}
LABEL = "gpuassay.io/walk-zone"
FLAVORS: dict[str, Manifest] = {
    "plain": {},
    "tainted": {"node_taints": [TAINT]},
    "zoned": {"node_labels": {LABEL: "a"}},
}
COHORTS = ("red", "green", "blue", "grey")
CLASSES = {"low": 10, "high": 20}
CPU = "cpu"


def site(dice: random.Random, *, fair: bool = False) -> Site:
    """A site; with `fair` ClusterQueues have weights, 0 among them."""
    cohorts: dict[str, Cohort] = {}
    for name in COHORTS[: dice.randrange(len(COHORTS) + 1)]:
        parent = dice.choice(["", *cohorts, *list(cohorts)[-1:]]) if cohorts else ""
        quota = {"plain": [_quota(dice, GPU, limited=bool(parent))]} if dice.random() < 0.3 else {}
        cohorts[name] = Cohort(parent, quota)
    queues = {f"q{index}": _queue(dice, list(cohorts), fair=fair) for index in range(dice.randrange(3, 6))}
    return Site(cohorts, queues, FLAVORS, CLASSES)


def _queue(dice: random.Random, cohorts: list[str], *, fair: bool) -> Queue:
    cohort = dice.choice(["", *cohorts, *cohorts])
    resources = [GPU, *([CPU] if dice.random() < 0.2 else []), *(["pods"] if dice.random() < 0.25 else [])]
    chosen = dice.sample(list(FLAVORS), dice.choice([1, 1, 2]))
    quota = {flavor: [_quota(dice, name, limited=bool(cohort)) for name in resources] for flavor in chosen}
    spec: Manifest = {
        "queueingStrategy": dice.choice(("BestEffortFIFO", "BestEffortFIFO", "StrictFIFO")),
        "preemption": preemption(dice, classic=not fair),
    }
    if dice.random() < 0.3:
        spec["flavorFungibility"] = fungibility(dice)
    if fair and dice.random() < 0.7:
        spec["fairSharing"] = {"weight": dice.choice(["0", "1", "2", "500m"])}
    return Queue(quota, cohort, spec)


def preemption(dice: random.Random, *, classic: bool = True) -> Manifest:
    """`spec.preemption`; borrowing while preempting only where sharing is not fair."""
    drawn: dict[str, Any] = {
        "withinClusterQueue": dice.choice(("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
        "reclaimWithinCohort": dice.choice(("Never", "LowerPriority", "Any")),
    }
    if classic and drawn["reclaimWithinCohort"] != "Never" and dice.random() < 0.3:
        drawn["borrowWithinCohort"] = {"policy": "LowerPriority", "maxPriorityThreshold": dice.choice([0, 10])}
    return drawn


def fungibility(dice: random.Random) -> Manifest:
    """`spec.flavorFungibility`."""
    preference = dice.choice(("", "", "BorrowingOverPreemption", "PreemptionOverBorrowing"))
    if preference:  # only where the search goes on in both cases
        return {"whenCanBorrow": "TryNextFlavor", "whenCanPreempt": "TryNextFlavor", "preference": preference}
    return {
        "whenCanBorrow": dice.choice(("MayStopSearch", "TryNextFlavor")),
        "whenCanPreempt": dice.choice(("MayStopSearch", "TryNextFlavor")),
    }


def _quota(dice: random.Random, resource: str, *, limited: bool) -> Manifest:
    """Quota for a resource; limits only where there is a cohort to borrow from and lend to."""
    nominal = dice.randrange(5) if resource == GPU else dice.randrange(2, 9)
    limits: dict[str, int | None] = {
        "borrowing": dice.choice([None, None, 0, 1, 3]) if limited else None,
        "lending": dice.choice([None, None, 0, min(1, nominal), nominal]) if limited else None,
    }
    return kueue.quota(resource, nominal, **limits)
