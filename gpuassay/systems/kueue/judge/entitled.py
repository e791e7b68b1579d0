"""Whether a Workload that does not fit may take the place of others: the classic preemption model, asked at rest.

It knows one flavor and one resource; where anybody in the cohort tree holds or asks for more, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from gpuassay.manifest import Manifest, condition, dig, epoch_second, name_of
from gpuassay.systems.kueue.judge.rest import Rest, usage_of
from gpuassay.systems.kueue.model.charge import Counting, charge
from gpuassay.systems.kueue.model.order import from_workload
from gpuassay.systems.kueue.model.preemption import Holder, Policy, victims
from gpuassay.systems.kueue.model.quota import QuotaTree
from gpuassay.systems.kueue.objects.profiles import PROFILES


def victims_of(
    workload: Manifest, queue: Manifest, rest: Rest, trees: Mapping[tuple[str, str], QuotaTree], how: Counting
) -> list[str]:
    """Names of those that Kueue should preempt for `workload`; none where it may not, or the model cannot tell."""
    profile = PROFILES.get(rest.recording.profile)
    flavors = [
        str(one["name"]) for group in dig(queue, "spec", "resourceGroups", default=[]) for one in group["flavors"]
    ]
    pod_sets: list[Manifest] = dig(workload, "spec", "podSets", default=[])
    if profile is None or "fairSharing" in profile.configuration() or len(flavors) != 1 or len(pod_sets) != 1:
        return []
    each, _ = charge(dig(pod_sets[0], "template", "spec", default={}), how)
    if len(each) != 1 or pod_sets[0].get("minCount") or (flavors[0], next(iter(each))) not in trees:
        return []
    resource, amount = next(iter(each.items()))
    tree = trees[flavors[0], resource]
    family = {node.name for node in tree.queues.values() if _root(node.name, rest) == _root(name_of(queue), rest)}
    holders: list[Holder] = []
    for one in rest.holding():
        held = {key: n for key, n in usage_of(one).items() if n}
        if not any(key[0] in family for key in held):
            continue
        if set(held) - {(name, flavors[0], resource) for name in family} or len(held) != 1:
            return []
        holders.append(_holder(one, next(iter(held))[0], next(iter(held.values()))))
    me = _holder(workload, name_of(queue), amount * int(pod_sets[0].get("count", 1)))
    return sorted(one.holder.name for one in victims(me, _policy(queue), holders, tree))


def _root(queue: str, rest: Rest) -> str:
    above = rest.cohorts_above(queue)
    return above[-1] if above else f"queue {queue}"


def _holder(workload: Manifest, queue: str, amount: Fraction) -> Holder:
    known = from_workload(workload)
    reserved = condition(workload, "QuotaReserved") or {}
    at = str(reserved.get("lastTransitionTime") or "")
    return Holder(
        known.name, known.uid, queue, amount, known.priority, known.timestamp, epoch_second(at) if at else 0
    )  # fmt: skip


def _policy(queue: Manifest) -> Policy:
    """`spec.preemption`, with Kueue's defaults for what is not written."""
    written: Manifest = dig(queue, "spec", "preemption", default={})
    borrowing: Manifest = written.get("borrowWithinCohort") or {}
    threshold = borrowing.get("maxPriorityThreshold")
    return Policy(
        within_queue=written.get("withinClusterQueue") or "Never",
        reclaim=written.get("reclaimWithinCohort") or "Never",
        borrow_within_cohort=borrowing.get("policy") or "Never",
        max_priority_threshold=None if threshold is None else int(threshold),
    )
