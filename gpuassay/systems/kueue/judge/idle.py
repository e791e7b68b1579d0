"""Nobody who fits waits: at rest every waiting Workload is held against the quota that is free, or due, to it.

What the model does not know it says (`Judged.unknown`) instead of accusing. Source of the rules: Kueue v0.19.2,
`pkg/scheduler/flavorassigner/flavorassigner.go` (`checkFlavorForPodSets`, `fitsResourceQuota`) and
`pkg/cache/queue/cluster_queue.go` (StrictFIFO).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.judge import eligible, entitled
from gpuassay.systems.kueue.judge.counting import counting
from gpuassay.systems.kueue.judge.forest import filled
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.model.charge import Amounts, Counting, charge
from gpuassay.systems.kueue.model.order import from_workload, heap_key
from gpuassay.systems.kueue.model.quota import QuotaTree
from gpuassay.systems.kueue.readings import KueueRecording

Trees = dict[tuple[str, str], QuotaTree]


@dataclass(frozen=True)
class Judged:
    """What is known of one waiting Workload.

    Attributes:
        workload: its name.
        finding: a sentence, if it waits although it fits, or may preempt.
        unknown: why the model cannot tell, if it cannot.
    """

    workload: str
    finding: str = ""
    unknown: str = ""


def findings(recording: KueueRecording) -> list[str]:
    """Workloads that wait at rest although they fit, as sentences."""
    return [one.finding for one in judged(recording) if one.finding]


def judged(recording: KueueRecording) -> Iterator[Judged]:
    """Every Workload that waits at rest, and what the model says of it."""
    if not recording.at_rest:
        return
    rest = Rest(recording)
    trees = filled(rest)
    for one, sure in rest.waiting():
        queue = rest.cluster_queues.get(rest.queue_of(one))
        if queue is None or not is_true(queue, "Active"):
            continue
        name = name_of(one)
        unknown = _unknown(rest, one, queue, sure=sure)
        if unknown or trees is None:
            yield Judged(name, unknown=unknown or "cohorts form a cycle")
            continue
        how = counting(recording, str(one["metadata"]["namespace"]))
        wanted = None if how is None else _wanted(one, queue, rest, trees, how)
        if isinstance(wanted, str) or wanted is None:
            yield Judged(name, unknown=wanted or "nobody knows how Kueue is configured")
        elif wanted:
            text = ", ".join(f"{float(n):g} {resource} of {flavor}" for (flavor, resource), n in sorted(wanted.items()))
            yield Judged(name, f"Workload {name} waits at rest although {text} are free for it in {name_of(queue)}")
        else:
            victims = entitled.victims_of(one, queue, rest, trees, how) if how is not None else []
            text = f"Workload {name} waits at rest although it may preempt {', '.join(victims)}" if victims else ""
            yield Judged(name, text)


def _unknown(rest: Rest, workload: Manifest, queue: Manifest, *, sure: bool) -> str:
    """Why the model cannot tell whether this one has to wait; "" where it can."""
    family = _family(rest, name_of(queue))
    if not sure:
        return "it is in no queue, or just about to be"
    if rest.recording.profile.endswith("-block"):
        return "admission waits for pods to get ready"
    if any(is_true(one, "Evicted") for one in rest.holding() if _queue_of(one) in family):
        return "somebody is evicted and still holds quota"
    if dig(workload, "spec", "preemptionGates"):
        return "preemption gates"
    fits = eligible.namespace(rest.recording, queue, str(workload["metadata"]["namespace"]))
    if fits is None:
        return "a namespace selector beyond the model"
    if not fits:
        return "its namespace may not use the queue"
    strict = {name for name in family if _strict(rest.cluster_queues.get(name))}
    waiting = [(one, rest.queue_of(one)) for one, _ in rest.waiting() if one is not workload]
    if any(name in strict and name != name_of(queue) for _, name in waiting):
        return "the head of a StrictFIFO queue beside it may keep quota back"
    ahead = [one for one, name in waiting if name == name_of(queue) and not _before(workload, one)]
    if name_of(queue) in strict and dig(queue, "spec", "admissionScope") is not None:
        return "fair sharing of admissions decides who is the head of its StrictFIFO queue"
    if name_of(queue) in strict and ahead:
        return "another may be ahead of it in its StrictFIFO queue"
    return ""


def _queue_of(workload: Manifest) -> str:
    return str(dig(workload, "status", "admission", "clusterQueue", default=""))


def _family(rest: Rest, queue: str) -> set[str]:
    """ClusterQueues of the same cohort tree."""
    above = rest.cohorts_above(queue)
    root = above[-1] if above else ""
    return {queue} | {name for name in rest.cluster_queues if root and root in rest.cohorts_above(name)}


def _strict(queue: Manifest | None) -> bool:
    return dig(queue, "spec", "queueingStrategy", default="BestEffortFIFO") == "StrictFIFO"


def _before(one: Manifest, other: Manifest) -> bool:
    """Whether `one` is ahead of `other` in the heap of their queue."""
    return heap_key(from_workload(one)) < heap_key(from_workload(other))


def _wanted(
    workload: Manifest, queue: Manifest, rest: Rest, trees: Trees, how: Counting
) -> dict[tuple[str, str], Fraction] | str:
    """What it could take now, by flavor and resource; empty where it does not fit; a text where nobody can tell."""
    asked: list[tuple[Manifest, Amounts]] = []
    for pod_set in dig(workload, "spec", "podSets", default=[]):
        pod: Manifest = dig(pod_set, "template", "spec", default={})
        if reason := eligible.beyond(pod_set, pod):
            return reason
        each, unknown = charge(pod, how)
        if unknown:
            return "claims beyond the model"
        gone = sum(
            int(one["count"])
            for one in dig(workload, "status", "reclaimablePods", default=[])
            if one["name"] == pod_set.get("name")
        )
        count = int(pod_set.get("minCount") or int(pod_set.get("count", 1)) - gone)
        asked.append((pod_set, {resource: amount * count for resource, amount in each.items()}))
        if eligible.covers(queue, "pods"):
            asked[-1][1]["pods"] = Fraction(count)
    if not any(amounts for _, amounts in asked):
        return "it asks for nothing"
    return eligible.assignment(rest, queue, asked, trees)
