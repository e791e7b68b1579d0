"""Random walks over Kueue's objects: a site of queues and cohorts, and edits of everything in it, from a seed. Pure.

The same seed gives the same site and the same steps; what a step finds to act on (the third of those that hold quota)
is decided when it is acted out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue

TAINT: Manifest = {"key": "gpuassay.io/walk", "value": "special", "effect": "NoSchedule"}
LABEL = "gpuassay.io/walk-zone"
NEVER_LOWER = ("Never", "LowerPriority", "LowerOrNewerEqualPriority")

ACTS: Mapping[str, int] = {
    "create": 10, "finish": 4, "delete": 2, "quota": 3, "cohort": 2, "halt": 1, "resume": 2, "halt-local": 1,
    "resume-local": 2, "deactivate": 1, "reactivate": 2, "priority": 2, "requeue": 2, "recreate-local": 1,
    "root": 1, "done": 2,
}  # fmt: skip
"""What a step may be, and how often."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        act: one of `ACTS`.
        pick: chooses among what there is to act on, by remainder.
        value: what the step sets.
    """

    act: str
    pick: int
    value: Any = None


@dataclass(frozen=True)
class WalkSetup:
    """Where a walk goes: names are stems, the scenario makes them unique.

    Attributes:
        cohorts: parent of each cohort, "" for a root.
        queues: of each ClusterQueue its cohort ("" for none), its groups with flavors by stem, and further options.
        flavors: options of each flavor.
    """

    cohorts: Mapping[str, str]
    queues: Mapping[str, Mapping[str, Any]]
    flavors: Mapping[str, Mapping[str, Any]]


@dataclass
class Walk:
    """A site and the steps on it."""

    seed: int
    site: WalkSetup
    steps: list[Step] = field(default_factory=list[Step])


def walk(seed: int, length: int) -> Walk:
    """The walk of a seed; a longer one of the same seed begins with the same steps."""
    dice = random.Random(f"site {seed}")
    made = Walk(seed, _site(dice))
    dice = random.Random(f"steps {seed}")
    for number in range(length):
        act = "create" if number < len(made.site.queues) else dice.choices([*ACTS], [*ACTS.values()])[0]
        made.steps.append(Step(act, dice.randrange(1000), _value(act, dice, made.site)))
    return made


def _site(dice: random.Random) -> WalkSetup:
    cohorts: dict[str, str] = {}
    for name in ("red", "green", "blue")[: dice.randrange(4)]:
        cohorts[name] = dice.choice(["", *cohorts]) if cohorts else ""
    flavors: dict[str, dict[str, Any]] = {
        "plain": {},
        "tainted": {"node_taints": [TAINT]},
        "zoned": {"node_labels": {LABEL: "a"}},
    }
    queues = {f"q{index}": _queue(dice, [*cohorts], [*flavors]) for index in range(dice.randrange(3, 6))}
    return WalkSetup(cohorts, queues, flavors)


def _queue(dice: random.Random, cohorts: list[str], flavors: list[str]) -> dict[str, Any]:
    cohort = dice.choice(["", *cohorts, *cohorts])
    chosen = dice.sample(flavors, dice.choice([1, 1, 2]))
    resources = [GPU, *(["pods"] if dice.random() < 0.25 else [])]
    group = {flavor: [quota(dice, name, limited=bool(cohort)) for name in resources] for flavor in chosen}
    preemption: dict[str, Any] = {
        "withinClusterQueue": dice.choice(NEVER_LOWER),
        "reclaimWithinCohort": dice.choice(("Never", "LowerPriority", "Any")),
    }
    return {
        "cohort": cohort,
        "group": group,
        "strategy": dice.choice(("BestEffortFIFO", "BestEffortFIFO", "StrictFIFO")),
        "preemption": preemption,
    }


def quota(dice: random.Random, resource: str, *, limited: bool) -> Manifest:
    """Quota for a resource; limits only where there is a cohort to borrow from and lend to."""
    nominal = dice.randrange(5) if resource == GPU else dice.randrange(2, 9)
    limits: dict[str, int | None] = {
        "borrowing": dice.choice([None, None, 0, 1, 3]) if limited else None,
        "lending": dice.choice([None, None, 0, min(1, nominal), nominal]) if limited else None,
    }
    return kueue.quota(resource, nominal, **limits)


def _value(act: str, dice: random.Random, site: WalkSetup) -> Any:
    match act:
        case "create":
            return {
                "gpus": dice.choice([1, 1, 1, 2, 3]),
                "count": dice.choice([1, 1, 2]),
                "priority": dice.randrange(3),
                "tolerates": dice.random() < 0.5,
                "zone": dice.choice(["", "", "a", "b"]),
                "distinct": dice.random() < 0.6,
            }
        case "quota":
            return {
                "nominalQuota": str(dice.randrange(5)),
                "borrowingLimit": dice.choice([None, "0", "2"]),
                "lendingLimit": dice.choice([None, "0", "1"]),
            }
        case "cohort" | "root":
            return dice.choice(["", *site.cohorts])
        case "priority":
            return dice.randrange(3)
        case "finish" | "delete":
            return dice.choice([1, 1, 2])
        case _:
            return None


def pod_of(value: Mapping[str, Any], shape: str) -> Manifest:
    """Further fields of the pod spec of a created Workload; `shape`: its name, for a shape of its own."""
    tolerations: list[Manifest] = kueue.shape(shape) if value["distinct"] else []
    if value["tolerates"]:
        tolerations = [*tolerations, {**TAINT, "operator": "Equal"}]
    pod: Manifest = {"tolerations": tolerations} if tolerations else {}
    if value["zone"]:
        pod["nodeSelector"] = {LABEL: value["zone"]}
    return pod
