"""How much quota was in use when: summed over every event of all Workloads, so that no moment is missed."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue.judge.rest import usage_of
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording

Holding = tuple[str, str, str]
"""ClusterQueue, flavor, resource."""


def steps(recording: KueueRecording) -> list[tuple[int, str, dict[Holding, Fraction]]]:
    """What was held after each Workload event that changed it: (receipt time in ns, Workload, amounts above zero)."""
    held: dict[str, dict[Holding, Fraction]] = {}
    found: list[tuple[int, str, dict[Holding, Fraction]]] = []
    last: dict[Holding, Fraction] = {}
    for event in recording.of("Workload"):
        held[event.uid] = {} if event.type == "DELETED" else dict(usage_of(event.object))
        total: dict[Holding, Fraction] = defaultdict(Fraction)
        for amounts in held.values():
            for key, amount in amounts.items():
                total[key] += amount
        now = {key: amount for key, amount in total.items() if amount}
        if now != last:
            found.append((event.at, event.name, now))
            last = now
    return found


def peaks(recording: KueueRecording) -> dict[Holding, Fraction]:
    """The most that was ever held of each resource."""
    most: dict[Holding, Fraction] = {}
    for _, _, held in steps(recording):
        for key, amount in held.items():
            most[key] = max(most.get(key, Fraction()), amount)
    return most


def reported_peaks(recording: KueueRecording) -> dict[Holding, Fraction]:
    """The most that each ClusterQueue ever reported as reserved (`status.flavorsReservation`)."""
    most: dict[Holding, Fraction] = {}
    for event in recording.of("ClusterQueue"):
        for flavor in dig(event.object, "status", "flavorsReservation", default=[]):
            resources: list[Manifest] = flavor.get("resources") or []
            for resource in resources:
                key = (name_of(event.object), str(flavor["name"]), str(resource["name"]))
                amount = Fraction(parse_quantity(str(resource.get("total", "0"))))
                most[key] = max(most.get(key, Fraction()), amount)
    return most


def ledger(recording: KueueRecording) -> str:
    """Every change of what was held, one line each in ms since the start, for assertion messages."""
    lines: list[str] = []
    for at, name, held in steps(recording):
        amounts = ", ".join(
            f"{float(amount):g} {resource} of {flavor}" for (_, flavor, resource), amount in held.items()
        )
        lines.append(f"{(at - recording.meta.started_ns) / 1e6:8.0f} ms  {name}: held {amounts or 'nothing'}")
    return "\n".join(lines)
