"""Where topology-aware scheduling put the pods, and whether the nodes can hold them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.kueue.readings import KueueRecording


def domains(assignment: Manifest) -> Counter[tuple[str, ...]]:
    """A `topologyAssignment` as pods by domain: the values of its levels, from the widest to the narrowest.

    The API writes it compactly: slices of domains, each value either the same for all of a slice or with a common
    prefix and suffix (kueue.x-k8s.io/v1beta2, TopologyAssignment).

    Raises:
        ValueError: the numbers of domains, values and counts do not fit each other.
    """
    found: Counter[tuple[str, ...]] = Counter()
    parts: list[Manifest] = assignment.get("slices") or []
    for part in parts:
        count = int(part["domainCount"])
        levels = [_values(entry, count) for entry in part["valuesPerLevel"]]
        pods = _each(part["podCounts"].get("universal"), part["podCounts"].get("individual"), count)
        for number, domain in zip(pods, zip(*levels, strict=True), strict=True):
            found[domain] += int(number)
    return found


def _each(universal: Any, individual: list[Any] | None, count: int) -> list[Any]:
    values = [universal] * count if universal is not None else list(individual or [])
    if len(values) != count:
        raise ValueError(f"topology assignment: {len(values)} values for {count} domains")
    return values


def _values(entry: Manifest, count: int) -> list[str]:
    own: Manifest = entry.get("individual") or {}
    values = _each(entry.get("universal"), own.get("roots"), count)
    before, after = own.get("prefix") or "", own.get("suffix") or ""
    return [f"{before}{value}{after}" for value in values]


def pods_by_node(workload: Manifest) -> Counter[str]:
    """Pods by node (the last level), over all pod sets of a Workload that holds quota; empty without assignment."""
    found: Counter[str] = Counter()
    if not is_true(workload, "QuotaReserved"):
        return found
    for assigned in dig(workload, "status", "admission", "podSetAssignments", default=[]):
        for domain, pods in domains(assigned.get("topologyAssignment") or {}).items():
            found[domain[-1]] += pods
    return found


def spread(workload: Manifest, where: Mapping[str, str]) -> Counter[str]:
    """Pods by the wider domain (rack, block) that `where` gives for each node; a node that it lacks keeps its name."""
    found: Counter[str] = Counter()
    for node, pods in pods_by_node(workload).items():
        found[where.get(node, node)] += pods
    return found


def overbooked(recording: KueueRecording, capacity: Mapping[str, int], per_pod: Mapping[str, int]) -> list[str]:
    """Nodes that at some moment were promised more than they have.

    Args:
        recording: its Workload events are followed one by one.
        capacity: units by node.
        per_pod: units that each pod of a Workload takes, by the Workload's name, as it was asked for.
    """
    held: dict[str, tuple[str, Counter[str]]] = {}
    found: list[str] = []
    for event in recording.of("Workload"):
        over = event.type == "DELETED" or is_true(event.object, "Finished")
        held[event.uid] = (event.name, Counter() if over else pods_by_node(event.object))
        booked: dict[str, int] = defaultdict(int)
        for name, nodes in held.values():
            for node, pods in nodes.items():
                booked[node] += pods * per_pod[name]
        found += [
            f"node {node} has {capacity.get(node, 0)}, was promised {units} at {event.name}"
            for node, units in booked.items()
            if units > capacity.get(node, 0)
        ]
    return list(dict.fromkeys(found))
