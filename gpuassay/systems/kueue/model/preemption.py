"""Kueue's classic choice of preemption victims, for one contested flavor-resource.

Source: Kueue v0.19.2, `pkg/scheduler/preemption/preemption.go` (`classicalPreemptions`, `fillBackWorkloads`),
`classical/candidate_generator.go`, `classical/hierarchical_preemption.go`, `common/ordering.go`,
`common/preemption_policy.go` and `pkg/scheduler/flavorassigner/flavorassigner.go` (`fitsResourceQuota`).
Not modelled: fair sharing, admission fair sharing, topology, several flavors, the alpha timestamp buffer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuassay.systems.kueue.model.quota import Amount, Node, QuotaTree


class Reason(StrEnum):
    """The reason that the victim's `Preempted` condition carries."""

    IN_CLUSTER_QUEUE = "InClusterQueue"
    IN_COHORT_RECLAMATION = "InCohortReclamation"
    IN_COHORT_RECLAIM_WHILE_BORROWING = "InCohortReclaimWhileBorrowing"


@dataclass(frozen=True)
class Policy:
    """`spec.preemption` of a ClusterQueue; the defaults are Kueue's (nothing is preempted)."""

    within_queue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"] = "Never"
    reclaim: Literal["Never", "LowerPriority", "Any"] = "Never"
    borrow_within_cohort: Literal["Never", "LowerPriority"] = "Never"
    max_priority_threshold: int | None = None


@dataclass(frozen=True)
class Holder:
    """A workload that holds quota, or wants it (then `reserved_at` says nothing)."""

    name: str
    uid: str
    queue: str
    request: Amount
    priority: int
    timestamp: int
    """Queue-order timestamp, whole seconds."""
    reserved_at: int = 0
    """lastTransitionTime of QuotaReserved, whole seconds."""
    evicted: bool = False


@dataclass(frozen=True)
class Victim:
    """A chosen victim and why."""

    holder: Holder
    reason: Reason


@dataclass(frozen=True)
class _Candidate:
    holder: Holder
    reason: Reason
    only_without_borrowing: bool = False
    meeting_point: Node | None = None
    """The lowest cohort above both queues; None for a candidate of the preemptor's own queue."""


def candidate_key(holder: Holder, queue: str) -> tuple[bool, bool, int, int, str]:
    """Sort key of candidates: evicted, other queue, lowest priority, most recently reserved, UID."""
    return (not holder.evicted, holder.queue == queue, holder.priority, -holder.reserved_at, holder.uid)


def satisfies(preemptor: Holder, candidate: Holder, policy: str) -> bool:
    """Whether `policy` lets `preemptor` take the place of `candidate`. "Newer" is strict: equal seconds are not."""
    if policy == "Any":
        return True
    lower = preemptor.priority > candidate.priority
    if policy == "LowerOrNewerEqualPriority":
        same = preemptor.priority == candidate.priority
        return lower or (same and preemptor.timestamp < candidate.timestamp)
    return policy == "LowerPriority" and lower


def victims(preemptor: Holder, policy: Policy, holders: Iterable[Holder], tree: QuotaTree) -> list[Victim]:
    """The workloads that Kueue evicts so that `preemptor` fits; empty if it fits already or never can.

    `tree` must count the requests of `holders` as used; it is changed during the search and restored.
    Raises ValueError if a queue is unknown to the tree.
    """
    node = tree.queue(preemptor.queue)
    request = preemptor.request
    if request <= node.available() or not may_preempt(node, request, policy):
        return []
    same, hierarchical, prioritised = _candidates(preemptor, policy, list(holders), tree)
    ordered = [
        c
        for wanted in (True, False)
        for group in (hierarchical, prioritised, same)
        for c in sorted(group, key=lambda c: candidate_key(c.holder, preemptor.queue))
        if c.holder.evicted is wanted
    ]
    no_borrow_reclaim = policy.borrow_within_cohort == "Never"
    under_nominal = node.quota.nominal > node.usage()
    if not (hierarchical or prioritised) or (no_borrow_reclaim and not under_nominal):
        attempts = (True,)
    elif no_borrow_reclaim and not hierarchical:
        attempts = (False, True)
    else:
        attempts = (True, False)
    for borrowing in attempts:
        if chosen := _attempt(node, request, ordered, tree, borrowing=borrowing):
            return [Victim(c.holder, c.reason) for c in chosen]
    return []


def may_preempt(node: Node, request: Amount, policy: Policy) -> bool:
    """Whether preemption is looked at: only where reclaiming cannot need more than the queue's due."""
    if request > node.potential():
        return False
    return node.quota.nominal >= request or policy.borrow_within_cohort != "Never" or _fits_below_root(node, request)


def _fits_below_root(node: Node, request: Amount) -> bool:
    """Whether a subtree smaller than the whole cohort tree fits the request (`FindHeightOfLowestSubtreeThatFits`)."""
    if not node.borrowing_with(request) or node.parent is None:
        return node.parent is not None
    remaining = request - node.local_available()
    for cohort in node.path():
        if not cohort.borrowing_with(remaining):
            return cohort.parent is not None
        remaining -= cohort.local_available()
    return False


def _candidates(
    preemptor: Holder, policy: Policy, holders: list[Holder], tree: QuotaTree
) -> tuple[list[_Candidate], list[_Candidate], list[_Candidate]]:
    """Candidates of the same queue, those below a subtree that fits the request, and all others of the cohort."""
    node = tree.queue(preemptor.queue)
    by_queue: dict[str, list[Holder]] = {}
    for holder in holders:
        by_queue.setdefault(holder.queue, []).append(holder)
    same = [
        _Candidate(h, Reason.IN_CLUSTER_QUEUE)
        for h in by_queue.get(preemptor.queue, [])
        if satisfies(preemptor, h, policy.within_queue)
    ]
    hierarchical: list[_Candidate] = []
    prioritised: list[_Candidate] = []
    if policy.reclaim == "Never":
        return same, hierarchical, prioritised
    advantage = node.subtree_quota() >= node.usage() + preemptor.request
    remaining = max(0, preemptor.request - node.local_available())
    below: Node = node
    for cohort in node.path():
        for queue in _borrowing_queues(cohort, below, tree):
            for holder in by_queue.get(queue, []):
                if not satisfies(preemptor, holder, policy.reclaim):
                    continue
                if advantage:
                    hierarchical.append(_Candidate(holder, Reason.IN_COHORT_RECLAMATION, meeting_point=cohort))
                else:
                    prioritised.append(_by_priority(preemptor, holder, policy, cohort))
        fits = cohort.subtree_quota() >= cohort.usage() + remaining
        remaining = max(0, remaining - cohort.local_available())
        advantage, below = advantage or fits, cohort
    return same, hierarchical, prioritised


def _by_priority(preemptor: Holder, holder: Holder, policy: Policy, cohort: Node) -> _Candidate:
    threshold = policy.max_priority_threshold
    above = holder.priority >= preemptor.priority or (threshold is not None and holder.priority > threshold)
    if policy.borrow_within_cohort == "Never" or above:
        return _Candidate(holder, Reason.IN_COHORT_RECLAMATION, only_without_borrowing=True, meeting_point=cohort)
    return _Candidate(holder, Reason.IN_COHORT_RECLAIM_WHILE_BORROWING, meeting_point=cohort)


def _borrowing_queues(cohort: Node, skip: Node, tree: QuotaTree) -> list[str]:
    """ClusterQueues under `cohort` that use more than their nominal quota, except in the subtree `skip`."""
    found: list[str] = []
    for child in cohort.children:
        if child is skip or child.within_nominal():
            continue
        if tree.queues.get(child.name) is child:
            found.append(child.name)
        else:
            found.extend(_borrowing_queues(child, skip, tree))
    return found


def _attempt(
    node: Node, request: Amount, ordered: Sequence[_Candidate], tree: QuotaTree, *, borrowing: bool
) -> list[_Candidate]:
    """Remove candidates in order until the request fits, then put back, last first, those that are not needed."""

    def fits() -> bool:
        return request <= node.available() and (borrowing or not node.borrowing_with(request))

    removed: list[_Candidate] = []
    chosen: list[_Candidate] = []
    for candidate in ordered:
        if not _still_valid(candidate, node, tree, borrowing=borrowing):
            continue
        tree.remove(candidate.holder.queue, candidate.holder.request)
        removed.append(candidate)
        if fits():
            chosen = list(removed)
            break
    for candidate in list(reversed(chosen))[1:]:  # the last removed is what made it fit: it stays a victim
        tree.add(candidate.holder.queue, candidate.holder.request)
        if fits():
            chosen.remove(candidate)
            removed.remove(candidate)
        else:
            tree.remove(candidate.holder.queue, candidate.holder.request)
    for candidate in removed:
        tree.add(candidate.holder.queue, candidate.holder.request)
    return chosen


def _still_valid(candidate: _Candidate, node: Node, tree: QuotaTree, *, borrowing: bool) -> bool:
    """A queue that earlier removals brought back to its nominal quota owes nothing any more."""
    if candidate.meeting_point is None:
        return True
    if borrowing and candidate.only_without_borrowing:
        return False
    here = tree.queue(candidate.holder.queue)
    for step in [here, *here.path()]:
        if step is candidate.meeting_point:
            return True
        if step.within_nominal():
            return False
    raise ValueError(f"queues {node.name} and {here.name} have no cohort in common")
