"""How ClusterQueues share a cohort's quota: what a recording shows against exact quota arithmetic.

The arithmetic is `gpuassay.systems.kueue.model.quota`; the quotas come from what the scenario asked for, so a limit
that is lost on the way to the system does not change what is expected of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, condition, dig, is_true, name_of
from gpuassay.systems.kueue.judge.rest import usage_of
from gpuassay.systems.kueue.model.quota import Amount, Quota, QuotaTree, over_quota, parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording


def living(recording: KueueRecording) -> list[Manifest]:
    """Workloads as last seen, less those that were deleted, in order of first sight."""
    return [line.final for line in recording.timelines("Workload").values() if not line.deleted]


def queue_of(workload: Manifest) -> str:
    """The LocalQueue that a Workload waits in."""
    return str(dig(workload, "spec", "queueName", default=""))


def owner_of(workload: Manifest) -> str:
    """What the scenario calls the Workload: the name of the job behind it, else its own."""
    owners = dig(workload, "metadata", "ownerReferences", default=[])
    return str(owners[0]["name"]) if owners else name_of(workload)


def holding(recording: KueueRecording, local_queue: str) -> list[str]:
    """Owners of the Workloads of a LocalQueue that hold quota at the end, sorted."""
    return sorted(
        owner_of(one)
        for one in living(recording)
        if queue_of(one) == local_queue and is_true(one, "QuotaReserved") and not is_true(one, "Finished")
    )


def pending(recording: KueueRecording, local_queue: str) -> list[str]:
    """Owners of the Workloads of a LocalQueue that hold no quota at the end, sorted."""
    return sorted(
        owner_of(one) for one in living(recording) if queue_of(one) == local_queue and not is_true(one, "QuotaReserved")
    )


def evictions(recording: KueueRecording) -> dict[str, list[str]]:
    """Why Workloads were evicted, by owner: the reason of condition Preempted, or of Evicted where nobody preempted.

    One entry per eviction; owners that were never evicted are absent.
    """
    found: dict[str, list[str]] = {}
    for line in recording.timelines("Workload").values():
        before = False
        for event in line.events:
            now = is_true(event.object, "Evicted")
            if now and not before:
                evicted = condition(event.object, "Evicted") or {}
                preempted = condition(event.object, "Preempted") or {}
                cause = preempted if evicted.get("reason") == "Preempted" else evicted
                found.setdefault(owner_of(event.object), []).append(str(cause.get("reason", "")))
            before = now
    return found


def flavor_of(recording: KueueRecording, name: str, resource: str = GPU) -> str | None:
    """The flavor that the first pod set of a Workload holds `resource` in at the end, or None where it has none."""
    line = recording.timelines("Workload").get(name)
    if line is None or not is_true(line.final, "QuotaReserved"):
        return None
    found = dig(line.final, "status", "admission", "podSetAssignments", 0, "flavors", resource)
    return None if found is None else str(found)


def usage_at_end(recording: KueueRecording, name: str) -> dict[str, Fraction]:
    """What a Workload is charged with at the end, by resource; empty where it holds no quota or does not exist."""
    line = recording.timelines("Workload").get(name)
    if line is None:
        return {}
    return {resource: amount for (_, _, resource), amount in usage_of(line.final).items()}


def requested(workload: Manifest, resource: str) -> Fraction:
    """What all pods of a Workload ask for together, by requests or, where absent, by limits."""
    total = Fraction(0)
    for pod_set in dig(workload, "spec", "podSets", default=[]):
        for container in dig(pod_set, "template", "spec", "containers", default=[]):
            limits = dig(container, "resources", "limits", default={})
            asked: dict[str, Any] = limits | dig(container, "resources", "requests", default={})
            total += Fraction(parse_quantity(str(asked.get(resource, 0)))) * int(pod_set.get("count", 1))
    return total


def _entries(obj: Manifest, resource: str) -> Iterator[tuple[str, Quota]]:
    for group in dig(obj, "spec", "resourceGroups", default=[]):
        for flavor in group["flavors"]:
            for entry in flavor["resources"]:
                if entry["name"] == resource:
                    limits = [entry.get("borrowingLimit"), entry.get("lendingLimit")]
                    borrowing, lending = (None if one is None else parse_quantity(one) for one in limits)
                    yield str(flavor["name"]), Quota(parse_quantity(entry["nominalQuota"]), borrowing, lending)


def trees(recording: KueueRecording, resource: str = GPU) -> dict[str, QuotaTree]:
    """The quota tree of each flavor, from ClusterQueues and Cohorts as the scenario asked for them."""
    queues: dict[str, dict[str, Quota]] = defaultdict(dict)
    cohorts: dict[str, dict[str, Quota]] = defaultdict(dict)
    above_queue: dict[str, str] = {}
    above_cohort: dict[str, str] = {}
    for obj in recording.asked:
        if obj["kind"] not in {"ClusterQueue", "Cohort"}:
            continue
        queue = obj["kind"] == "ClusterQueue"
        parent = dig(obj, "spec", "cohortName" if queue else "parentName")
        if parent is not None:
            (above_queue if queue else above_cohort)[name_of(obj)] = str(parent)
        for flavor, quota in _entries(obj, resource):
            (queues if queue else cohorts)[flavor][name_of(obj)] = quota
    return {
        flavor: QuotaTree(
            declared,
            {name: parent for name, parent in above_queue.items() if name in declared},
            cohorts.get(flavor, {}),
            above_cohort,
        )
        for flavor, declared in queues.items()
    }


def sharing_findings(recording: KueueRecording, resource: str = GPU) -> list[str]:
    """Every way in which a cohort shared `resource` wrongly, as sentences; empty for a healthy recording.

    Two rules: at no event is any quota or limit exceeded, and at the end no Workload waits that would fit (which holds
    for BestEffortFIFO queues; call it for recordings that have no others). Where nobody holds or has a quota there is
    nothing to share, which is told as well.
    """
    forest = trees(recording, resource)
    found: list[str] = [] if forest else [f"no ClusterQueue with a quota of {resource} was asked for"]
    held: dict[str, dict[tuple[str, str, str], Fraction]] = {}
    for event in recording.of("Workload"):
        held[event.uid] = {} if event.type == "DELETED" else dict(usage_of(event.object))
        for flavor, usage in _by_flavor(held.values(), resource).items():
            if flavor in forest:
                found += [
                    f"{broken} ({resource}), at Workload {event.name}" for broken in over_quota(forest[flavor], usage)
                ]
    last = _by_flavor(held.values(), resource)
    if not any(last.values()):
        found.append(f"no Workload holds any {resource} at the end")
    of_local = {
        name_of(obj): str(obj["spec"]["clusterQueue"]) for obj in recording.asked if obj["kind"] == "LocalQueue"
    }
    for flavor, tree in forest.items():
        over_quota(tree, last.get(flavor, {}))
        for workload in living(recording):
            queue = of_local.get(queue_of(workload), "")
            if queue not in tree.queues or is_true(workload, "QuotaReserved") or is_true(workload, "Finished"):
                continue
            free, wanted = tree.available(queue), requested(workload, resource)
            if wanted <= free:
                found.append(
                    f"Workload {owner_of(workload)} waits for {wanted} {resource} while {queue} may use {free}"
                )
    return list(dict.fromkeys(found))


def _by_flavor(held: Any, resource: str) -> dict[str, Mapping[str, Amount]]:
    totals: dict[str, dict[str, Amount]] = defaultdict(lambda: defaultdict(Fraction))
    for usage in held:
        for (queue, flavor, name), amount in usage.items():
            if name == resource:
                totals[flavor][queue] += amount
    return dict(totals)


def reservations_beyond(recording: KueueRecording, cluster_queue: str, limit: Amount, since: int) -> list[str]:
    """New reservations after `since` (ns) that took a ClusterQueue beyond `limit` GPUs, as sentences.

    What is held already may stand above a limit that was lowered; only new reservations are at fault.
    """
    found: list[str] = []
    held: dict[str, Fraction] = {}
    for event in recording.of("Workload"):
        usage = {} if event.type == "DELETED" else usage_of(event.object)
        mine = sum((n for (queue, _, name), n in usage.items() if queue == cluster_queue and name == GPU), Fraction(0))
        new = mine > 0 and not held.get(event.uid)
        held[event.uid] = mine
        total = sum(held.values(), Fraction(0))
        if new and event.at > since and total > limit:
            found.append(f"Workload {event.name} got quota: {cluster_queue} then held {total}, may hold {limit}")
    return found
