"""Draws the steps of a random walk: work that comes and goes, and edits of every object in use. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects import walk_site
from gpuassay.systems.kueue.objects.walk_site import CPU, FLAVORS, LABEL, TAINT
from gpuassay.systems.kueue.objects.walks import Site, Step, Walk

ACTS: Mapping[str, int] = {
    # work
    "create": 14, "job": 4, "group": 2, "finish": 5, "delete": 3, "done": 2, "end-evictions": 6,
    "deactivate": 2, "reactivate": 3, "priority": 2, "class-of": 1, "requeue": 3, "unqueue": 1, "scale": 2,
    # ClusterQueues
    "quota": 4, "flavors": 2, "cohort": 3, "stop": 2, "resume": 3, "preemption": 1, "fungibility": 1,
    "recreate-queue": 2, "drop-queue": 1,
    # all else
    "stop-local": 2, "resume-local": 3, "recreate-local": 2, "root": 2, "cohort-quota": 2, "recreate-cohort": 1,
    "class-value": 2, "taints": 1, "labels": 1,
}  # fmt: skip
"""What a step may be, and how often."""

PAUSES = (0.0, 0.0, 0.3, 0.3, 1.2)


def walk(seed: int, length: int, *, fair: bool = False) -> Walk:
    """The walk of a seed; a longer one of the same seed begins with the same steps."""
    where = walk_site.site(random.Random(f"site {seed}"), fair=fair)
    dice = random.Random(f"steps {seed}")
    steps: list[Step] = []
    for number in range(length):
        act = "create" if number < len(where.queues) else dice.choices([*ACTS], [*ACTS.values()])[0]
        steps.append(Step(act, "", dice.randrange(1000), _value(act, dice, where), dice.choice(PAUSES)))
    return Walk(seed, where, steps)


def _value(act: str, dice: random.Random, where: Site) -> Any:
    match act:
        case "create" | "job" | "group":
            return _work(act, dice)
        case "quota" | "cohort-quota":
            return {
                "nominalQuota": str(dice.randrange(5)),
                "borrowingLimit": dice.choice([None, "0", "2"]),
                "lendingLimit": dice.choice([None, "0", "1"]),
            }
        case "flavors":
            return dice.sample(list(FLAVORS), dice.choice([1, 2, 2, 3]))
        case "cohort" | "root":
            return dice.choice(["", *where.cohorts])
        case "priority":
            return dice.randrange(3)
        case "class-of":
            return dice.choice([*where.classes])
        case "class-value":
            return dice.choice([0, 10, 20, 30])
        case "stop" | "stop-local":
            return dice.choice(["Hold", "HoldAndDrain"])
        case "preemption":
            return walk_site.preemption(dice, classic=False)
        case "fungibility":
            return walk_site.fungibility(dice)
        case "taints":
            return dice.choice([[], [TAINT]])
        case "labels":
            return dice.choice([{LABEL: "a"}, {LABEL: "b"}])
        case "scale":
            return dice.choice([1, 2, 3])
        case _:
            return None


def _work(act: str, dice: random.Random) -> Manifest:
    return {
        "gpus": dice.choice([1, 1, 1, 2, 3]),
        "cpu": dice.choice([0, 0, 0, 1]),
        "count": dice.choice([2, 2, 3] if act == "group" else [1, 1, 2]),
        "sets": dice.choice([1, 1, 1, 2]) if act == "create" else 1,
        "class": dice.choice(["", "", "low", "high"]),
        "priority": dice.randrange(3),
        "tolerates": dice.random() < 0.5,
        "zone": dice.choice(["", "", "a", "b"]),
        "distinct": dice.random() < 0.6,
        "for": dice.choice([None, None, 2, 5]),
    }


def requests_of(value: Mapping[str, Any]) -> dict[str, int]:
    """What a pod of a step's work asks for."""
    return {GPU: value["gpus"]} | ({CPU: value["cpu"]} if value["cpu"] else {})


def pod_of(value: Mapping[str, Any], shape: str) -> Manifest:
    """Further fields of the pod spec of a step's work; `shape`: its name, for a shape of its own."""
    tolerations: list[Manifest] = kueue.shape(shape) if value["distinct"] else []
    if value["tolerates"]:
        tolerations = [*tolerations, {**TAINT, "operator": "Equal"}]
    pod: Manifest = {"tolerations": tolerations} if tolerations else {}
    if value["zone"]:
        pod["nodeSelector"] = {LABEL: value["zone"]}
    return pod
