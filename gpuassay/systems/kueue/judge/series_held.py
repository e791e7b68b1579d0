"""Gauges: what queues and cohorts hold, may hold and have waiting at the end of a scenario."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.kueue.judge.counting import counting
from gpuassay.systems.kueue.judge.forest import forest
from gpuassay.systems.kueue.judge.rest import Rest, usage_of
from gpuassay.systems.kueue.judge.tally import Key, Tally, exactly
from gpuassay.systems.kueue.model.charge import charge
from gpuassay.systems.kueue.model.quota import parse_quantity

CQ = ("cluster_queue",)
LQ = ("namespace", "name")
PREFIX = "kueue_"
LOCAL = "kueue_local_queue_"


def tallies(rest: Rest) -> Iterator[Tally]:
    """Every gauge that the recording suffices to recount."""
    doubtful = [one for one in rest.holding() if dig(one, "spec", "active", default=True) is False]
    if not doubtful:
        yield from _held(rest)
    yield from _waiting(rest)
    yield from _status(rest)
    yield from _quotas(rest)
    yield from _cohorts(rest)


def _queue_of(workload: Manifest) -> str:
    return str(dig(workload, "status", "admission", "clusterQueue", default=""))


def _local_of(workload: Manifest) -> Key:
    return (
        str(dig(workload, "metadata", "namespace", default="")),
        str(dig(workload, "spec", "queueName", default="")),
    )


def _held(rest: Rest) -> Iterator[Tally]:
    """Workloads that hold quota, and how much; of queues that exist."""
    living = [one for one in rest.holding() if _queue_of(one) in rest.cluster_queues]
    orphans = frozenset(_local_of(one) for one in living if _local_of(one) not in rest.local_queues)
    for stem, amount, mine in (
        ("reserving_active_workloads", "resource_reservation", living),
        ("admitted_active_workloads", "resource_usage", [one for one in living if is_true(one, "Admitted")]),
    ):
        by_queue = Counter((_queue_of(one),) for one in mine)
        by_local = Counter(_local_of(one) for one in mine)
        yield Tally(PREFIX + stem, CQ, exactly(by_queue))
        yield Tally(LOCAL + stem, LQ, exactly(by_local), leave_out=orphans)
        of_queue: dict[Key, Fraction] = defaultdict(Fraction)
        of_local: dict[Key, Fraction] = defaultdict(Fraction)
        for one in mine:
            for (queue, flavor, resource), held in usage_of(one).items():
                of_queue[queue, flavor, resource] += held
                of_local[(*_local_of(one), flavor, resource)] += held
        covered = set(_entries_by_key(rest))
        yield Tally(
            f"{PREFIX}cluster_queue_{amount}", (*CQ, "flavor", "resource"), exactly(_floats(of_queue)),
            leave_out=frozenset(of_queue) - covered,
        )  # fmt: skip
        yield Tally(
            LOCAL + amount, (*LQ, "flavor", "resource"), exactly(_floats(of_local)),
            leave_out=frozenset(key for key in of_local if key[:2] in orphans),
        )  # fmt: skip


def _waiting(rest: Rest) -> Iterator[Tally]:
    """Workloads that wait, in queues that exist, and what they ask for."""
    of_queue: dict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0])
    of_local: dict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0])
    asked: dict[Key, float] = defaultdict(float)
    unsure: set[Key] = set()
    for one, sure in rest.waiting():
        if left := rest.left_by(one):
            of_queue[left,][1] += 1  # may still be counted: a known defect, see `known.COUNTED_AFTER_STOP`
            unsure.add((left,))
        queue = rest.queue_of(one)
        if queue not in rest.cluster_queues:
            continue
        for counts in (of_queue[queue,], of_local[_local_of(one)]):
            counts[0] += sure
            counts[1] += 1
        how = counting(rest.recording, _local_of(one)[0])
        if how is None or not sure:
            unsure.add((queue,))
            continue
        for pod_set in dig(one, "spec", "podSets", default=[]):
            each, unknown = charge(dig(pod_set, "template", "spec", default={}), how)
            if unknown:
                unsure.add((queue,))
            for resource, amount in each.items():
                asked[queue, resource] += float(amount) * int(pod_set.get("count", 1))
    for queue in rest.cluster_queues:
        for one in rest.incomplete_in(queue):  # may be counted: a known defect, see `known.COUNTED_INCOMPLETE`
            of_queue[queue,][1] += 1
            of_local[_local_of(one)][1] += 1
            unsure.add((queue,))
    yield Tally(f"{PREFIX}pending_workloads", CQ, _ranges(of_queue))
    yield Tally(f"{LOCAL}pending_workloads", LQ, _ranges(of_local))
    strange = frozenset(key for key in asked if (key[0],) in unsure)
    if not unsure:
        yield Tally(f"{PREFIX}cluster_queue_resource_pending", (*CQ, "resource"), exactly(asked), leave_out=strange)


def _status(rest: Rest) -> Iterator[Tally]:
    """Exactly one status of each queue is 1."""
    of_queue: dict[Key, float] = {}
    for name, queue in rest.cluster_queues.items():
        if told := condition(queue, "Active"):
            gone = dig(queue, "metadata", "deletionTimestamp") is not None
            state = "terminating" if gone else "active" if told["status"] == "True" else "pending"
            of_queue[name, state] = 1
    yield Tally(f"{PREFIX}cluster_queue_status", (*CQ, "status"), exactly(of_queue))
    of_local: dict[Key, float] = {}
    for key, queue in rest.local_queues.items():
        if told := condition(queue, "Active"):
            of_local[(*key, str(told["status"]))] = 1
    yield Tally(f"{LOCAL}status", (*LQ, "active"), exactly(of_local))


def _entries_by_key(rest: Rest) -> dict[Key, Manifest]:
    found: dict[Key, Manifest] = {}
    for name, queue in rest.cluster_queues.items():
        for group in dig(queue, "spec", "resourceGroups", default=[]):
            for flavor in group["flavors"]:
                for entry in flavor["resources"]:
                    found[name, str(flavor["name"]), str(entry["name"])] = entry
    return found


def _quotas(rest: Rest) -> Iterator[Tally]:
    """Quotas and limits as they stand in the ClusterQueues; a limit that is not set is infinite."""
    entries = _entries_by_key(rest)
    for gauge, field in (
        ("nominal_quota", "nominalQuota"), ("borrowing_limit", "borrowingLimit"), ("lending_limit", "lendingLimit"),
    ):  # fmt: skip
        told = {key: _number(entry.get(field)) for key, entry in entries.items()}
        yield Tally(f"{PREFIX}cluster_queue_{gauge}", (*CQ, "flavor", "resource"), exactly(told))


def _cohorts(rest: Rest) -> Iterator[Tally]:
    """What a cohort's subtree has, holds and runs; of trees without a cycle."""
    trees = forest(rest)
    if trees is None:
        return
    quota: dict[Key, float] = {}
    held: dict[Key, float] = defaultdict(float)
    for (flavor, resource), tree in trees.items():
        for node in tree.cohorts.values():
            quota[node.name, flavor, resource] = float(node.subtree_quota())
        for (queue, kind, name), amount in rest.held().items():
            if (kind, name) == (flavor, resource) and queue in tree.queues:
                for above in tree.queues[queue].path():
                    held[above.name, flavor, resource] += float(amount)
    labels = ("cohort", "flavor", "resource")
    yield Tally(f"{PREFIX}cohort_subtree_quota", labels, exactly({key: n for key, n in quota.items() if n > 0}))
    yield Tally(f"{PREFIX}cohort_subtree_resource_reservations", labels, exactly(held))
    running: Counter[Key] = Counter()
    for one in rest.holding():
        for above in rest.cohorts_above(_queue_of(one)):
            running[above,] += is_true(one, "Admitted")
    yield Tally(f"{PREFIX}cohort_subtree_admitted_active_workloads", ("cohort",), exactly(running))
    parents: dict[Key, float] = {}
    for name in rest.cluster_queues:
        above = rest.cohorts_above(name)
        parents[name, above[0] if above else "", above[-1] if above else ""] = 1
    yield Tally(f"{PREFIX}cluster_queue_info", (*CQ, "parent_cohort", "root_cohort"), exactly(parents))


def _number(text: object) -> float:
    return math.inf if text is None else float(parse_quantity(str(text)))


def _floats(amounts: dict[Key, Fraction]) -> dict[Key, float]:
    return {key: float(amount) for key, amount in amounts.items()}


def _ranges(counts: dict[Key, list[float]]) -> dict[Key, tuple[float, float]]:
    return {key: (low, high) for key, (low, high) in counts.items()}
