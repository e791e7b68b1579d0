"""Which flavors a pod set may have, and whether what it asks for is free in them.

Kueue checks a pod's node selector against the labels that a flavor has, and no others, and the taints of a flavor
against the tolerations of pod and flavor (`flavorassigner.go`, `checkFlavorForPodSets`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.model.charge import Amounts, amounts
from gpuassay.systems.kueue.model.quota import QuotaTree
from gpuassay.systems.kueue.readings import KueueRecording

FlavorResource = tuple[str, str]
_BLOCKING = {"NoSchedule", "NoExecute"}


def namespace(recording: KueueRecording, queue: Manifest, name: str) -> bool | None:
    """Whether the ClusterQueue is open to a namespace; None where the model cannot tell."""
    selector: Manifest | None = dig(queue, "spec", "namespaceSelector")
    if selector is None:
        return False
    if selector.get("matchExpressions"):
        return None
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if not wanted:
        return True
    line = recording.timelines("Namespace").get(name)
    if line is None:
        return None
    labels: Mapping[str, str] = dig(line.final, "metadata", "labels", default={})
    return wanted.items() <= labels.items()


def beyond(pod_set: Manifest, pod: Manifest) -> str:
    """What of a pod set the model does not know; "" where it knows all."""
    topology: Manifest = pod_set.get("topologyRequest") or {}
    if topology.keys() - {"podIndexLabel", "subGroupIndexLabel", "subGroupCount"}:
        return "topology requests"
    if dig(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        return "node affinity"
    containers: list[Manifest] = [*dig(pod, "containers", default=[]), *dig(pod, "initContainers", default=[])]
    for container in containers:
        limits, requests = (amounts(dig(container, "resources", one)) for one in ("limits", "requests"))
        if any(amount > limits.get(name, amount) for name, amount in requests.items()):
            return "requests above limits"
    return ""


def covers(queue: Manifest, resource: str) -> bool:
    """Whether the ClusterQueue has quota for a resource."""
    return any(resource in group["coveredResources"] for group in dig(queue, "spec", "resourceGroups", default=[]))


def assignment(
    rest: Rest, queue: Manifest, asked: Sequence[tuple[Manifest, Amounts]], trees: Mapping[FlavorResource, QuotaTree]
) -> dict[FlavorResource, Fraction] | str:
    """What the pod sets could take now, by flavor and resource; empty where they do not fit.

    A text where nobody can tell: several pod sets choose among several flavors one after the other, and whether the
    first choice leaves room for the last depends on their order.
    """
    if any(entry.get("type") in {"Container", "Pod"} for one in _limit_ranges(rest) for entry in one):
        return "a LimitRange may refuse it"
    total: dict[FlavorResource, Fraction] = defaultdict(Fraction)
    groups: list[Manifest] = dig(queue, "spec", "resourceGroups", default=[])
    if dig(queue, "spec", "flavorFungibility", "whenCanPreempt") == "MayStopSearch" and _choice(groups):
        return "preemption in an earlier flavor comes first"
    for pod_set, wanted in asked:
        for group in groups:
            mine = {name: amount for name, amount in wanted.items() if name in group["coveredResources"]}
            if not mine:
                continue
            if _topological(rest, group):
                return "a flavor with a topology"
            flavors = [str(one["name"]) for one in group["flavors"]]
            if len(asked) > 1 and len(flavors) > 1:
                return "several pod sets and several flavors"
            found = next(
                (one for one in flavors if _may(rest, one, pod_set) and _free(one, queue, mine, total, trees)), None
            )
            if found is None:
                return {}
            for name, amount in mine.items():
                total[found, name] += amount
        if any(not covers(queue, name) for name in wanted):
            return {}
    return dict(total)


def _choice(groups: Iterable[Manifest]) -> bool:
    return any(len(one["flavors"]) > 1 for one in groups)


def _limit_ranges(rest: Rest) -> list[list[Manifest]]:
    return [dig(one, "spec", "limits", default=[]) for one in rest.recording.asked if one["kind"] == "LimitRange"]


def _flavor(rest: Rest, name: str) -> Manifest | None:
    line = rest.recording.timelines("ResourceFlavor").get(name)
    return None if line is None or line.deleted else line.final


def _topological(rest: Rest, group: Manifest) -> bool:
    return any(dig(_flavor(rest, str(one["name"])), "spec", "topologyName") for one in group["flavors"])


def _may(rest: Rest, flavor: str, pod_set: Manifest) -> bool:
    """Whether a pod set may run on a flavor's nodes; not on those of a flavor that does not exist."""
    found = _flavor(rest, flavor)
    if found is None:
        return False
    pod: Manifest = dig(pod_set, "template", "spec", default={})
    labels: Mapping[str, str] = dig(found, "spec", "nodeLabels", default={})
    selector: Mapping[str, str] = pod.get("nodeSelector") or {}
    if any(labels[key] != value for key, value in selector.items() if key in labels):
        return False
    tolerations: list[Manifest] = [*(pod.get("tolerations") or []), *dig(found, "spec", "tolerations", default=[])]
    taints: list[Manifest] = dig(found, "spec", "nodeTaints", default=[])
    return all(any(_tolerates(one, taint) for one in tolerations) for taint in taints if taint["effect"] in _BLOCKING)


def _tolerates(toleration: Manifest, taint: Manifest) -> bool:
    """Kubernetes, "Taints and Tolerations": an empty effect matches all effects, an empty key with Exists all keys."""
    exists = toleration.get("operator", "Equal") == "Exists"
    key, effect = toleration.get("key") or "", toleration.get("effect") or ""
    same_value = exists or (toleration.get("value") or "") == (taint.get("value") or "")
    return effect in {"", taint["effect"]} and (key == taint["key"] or (not key and exists)) and same_value


def _free(
    flavor: str,
    queue: Manifest,
    wanted: Amounts,
    before: Mapping[FlavorResource, Fraction],
    trees: Mapping[FlavorResource, QuotaTree],
) -> bool:
    for name, amount in wanted.items():
        tree = trees.get((flavor, name))
        if tree is None or name_of(queue) not in tree.queues:
            return False
        if before.get((flavor, name), Fraction()) + amount > tree.available(name_of(queue)):
            return False
    return True
