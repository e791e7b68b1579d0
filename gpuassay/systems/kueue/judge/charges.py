"""Whether the quota that a Workload is charged is what its pods ask for: at every reservation, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.judge.counting import counting
from gpuassay.systems.kueue.model.charge import Amounts, Counting, amounts, charge, replaced
from gpuassay.systems.kueue.readings import KueueRecording

PODS = "pods"


def findings(recording: KueueRecording) -> list[str]:
    """Every reservation that is charged more or less than count x effective request, as sentences."""
    found: list[str] = []
    asked = {
        (dig(one, "metadata", "namespace"), name_of(one)): one for one in recording.asked if one["kind"] == "Workload"
    }
    for line in recording.timelines("Workload").values():
        how = counting(recording, line.namespace)
        if how is None:
            continue
        last: Manifest | None = None
        backed_off = False
        for event in line.events:
            backed_off |= dig(event.object, "status", "requeueState", "requeueAt") is not None
            admission: Manifest | None = dig(event.object, "status", "admission")
            if admission is None or admission == last or not is_true(event.object, "QuotaReserved"):
                last = admission
                continue
            last = admission
            by_hand = asked.get((line.namespace, line.name))
            found += _of(recording, by_hand or event.object, event.object, how, backed_off=backed_off)
    return list(dict.fromkeys(found))


def _of(
    recording: KueueRecording, asked: Manifest, workload: Manifest, how: Counting, *, backed_off: bool
) -> Iterator[str]:
    """Findings of one reservation: `asked` says what the pods ask for, `workload` what they are charged."""
    wanted = {str(one.get("name", "main")): one for one in dig(asked, "spec", "podSets", default=[])}
    queue = str(dig(workload, "status", "admission", "clusterQueue", default=""))
    gone = {str(one["name"]): int(one["count"]) for one in dig(workload, "status", "reclaimablePods", default=[])}
    for assignment in dig(workload, "status", "admission", "podSetAssignments", default=[]):
        name = str(assignment["name"])
        pod_set = wanted.get(name)
        if pod_set is None:
            yield f"Workload {name_of(workload)} is charged for pod set {name}, which it does not have"
            continue
        count = int(assignment.get("count") or 0)
        yield from _count(name_of(workload), pod_set, count, gone.get(name, 0))
        each, unknown = charge(dig(pod_set, "template", "spec", default={}), how)
        expected = {resource: amount * count for resource, amount in each.items() if count}
        charged = {resource: n for resource, n in amounts(assignment.get("resourceUsage")).items() if n}
        if _covers(recording, queue, PODS):
            expected[PODS] = Fraction(count)
        told = {resource: amount for resource, amount in charged.items() if resource not in unknown}
        who = f"Workload {name_of(workload)}"
        for resource, amount in replaced(dig(pod_set, "template", "spec", default={}), how).items():
            if told.get(resource) == amount * count and resource not in expected:
                told.pop(resource)
                yield f"{who} is charged {float(amount):g} {resource} besides what a transformation makes of it"
        if expected.keys() - {PODS} and not told.keys() - {PODS} and backed_off:
            yield f"{who} is charged nothing, when tried again after its backoff, for {_text(expected)}"
        elif told != expected:
            yield (f"{who} is charged {_text(told)} for {count} pods of {name}, which ask for {_text(expected)}")


def _count(workload: str, pod_set: Manifest, count: int, gone: int) -> Iterator[str]:
    """The number of pods that are charged: all but the finished ones, or with partial admission as few as allowed."""
    whole = int(pod_set.get("count", 1))
    least = int(pod_set.get("minCount") or whole)
    if not min(least, whole - gone) <= count <= whole:
        yield f"Workload {workload} is charged for {count} pods of {pod_set.get('name', 'main')}, which has {whole}"


def _covers(recording: KueueRecording, queue: str, resource: str) -> bool:
    line = recording.timelines("ClusterQueue").get(queue)
    groups: list[Manifest] = dig(line.final, "spec", "resourceGroups", default=[]) if line else []
    return any(resource in group["coveredResources"] for group in groups)


def _text(held: Amounts) -> str:
    return ", ".join(f"{float(amount):g} {name}" for name, amount in sorted(held.items())) or "nothing"
