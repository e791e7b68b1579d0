"""Whether every operand that is wanted stands, ready and of its newest revision, on every node on which it belongs."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.gpu_operator.judge.moving import PAUSED, changing
from gpuassay.systems.gpu_operator.judge.objects import (
    DEPLOY,
    PRESENT,
    Operand,
    Seen,
    belongs,
    by_dra,
    facts,
    for_containers,
    gpu_nodes,
    labels_of,
    name_of,
    node_of,
    operand_of,
    pods_of,
    policies,
    selector,
    sets_of,
    wanted,
)
from gpuassay.systems.gpu_operator.judge.pods import hard, ready, why_not_ready

REVISION = "controller-revision-hash"
"""Label by which a pod says of which ControllerRevision it is."""


def configured(seen: Seen) -> bool:
    """Whether anything says what is wanted."""
    return bool(policies(seen)) or by_dra(seen)


def operand_findings(seen: Seen) -> list[str]:
    """Every operand that is wanted has a ready pod on every node on which it belongs, and on one at least.

    Of a node that the operator is changing only what does not pass by waiting is a finding.
    """
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    if not configured(seen):
        return ["there is neither a ClusterPolicy nor a GPUCluster: nothing says which operands are wanted"]
    return [text for operand in wanted(seen) for text in _of_operand(seen, operand, nodes)]


def _of_operand(seen: Seen, operand: Operand, nodes: Sequence[Manifest]) -> list[str]:
    label = f"{DEPLOY}{operand.deploy}"
    here = [one for one in nodes if belongs(operand, one)]
    if not here and operand.everywhere and any(_expected(operand, one) for one in nodes):
        return [f"{operand.app} is enabled, but no node has the label {label}=true"]
    sets = sets_of(seen, operand)
    still = [one for one in here if not changing(seen, one)]
    if not sets:
        return [f"{operand.app} has no DaemonSet"] if still else []
    pods = [pod for one in sets for pod in pods_of(seen, one)]
    found: list[str] = []
    for node in here:
        mine = [pod for pod in pods if node_of(pod) == name_of(node)]
        if any(ready(pod) for pod in mine) or (node not in still and not any(hard(pod) for pod in mine)):
            continue
        found.append(f"{operand.app} has no ready pod on node {name_of(node)}: {_why(mine, node, sets)}")
    return found


def _expected(operand: Operand, node: Manifest) -> bool:
    """Whether a node is one of those that the operator labels for an operand, unless a person has said otherwise."""
    labels = labels_of(node)
    kept_away = labels.get(f"{DEPLOY}operands") == "false"
    said = labels.get(f"{DEPLOY}{operand.deploy}", "")
    return for_containers(node) and not kept_away and not said.startswith((PAUSED, "false"))


def _why(pods: Sequence[Manifest], node: Manifest, sets: Sequence[Manifest]) -> str:
    """Why no pod of an operand is ready on a node; the worst pod speaks."""
    gone = "" if _is_up(node) else "the node itself is not Ready; "
    if not pods:
        return gone + _why_none(node, sets)
    return gone + why_not_ready(next((pod for pod in pods if hard(pod)), pods[0]))


def _is_up(node: Manifest) -> bool:
    return is_true(node, "Ready") or not dig(node, "status", "conditions", default=[])


def _why_none(node: Manifest, sets: Sequence[Manifest]) -> str:
    labels = labels_of(node)
    apart = [
        {key: value for key, value in selector(one).items() if labels.get(key) != value} for one in sets
    ]  # fmt: skip
    if all(apart):
        key, value = next(iter(min(apart, key=len).items()))
        return f"no DaemonSet selects it ({name_of(sets[0])} wants {key}={value}, it has {labels.get(key, 'none')})"
    taints = [f"{one.get('key')}:{one.get('effect')}" for one in dig(node, "spec", "taints", default=[])]
    return f"there is no pod; its taints are {', '.join(taints)}" if taints else "there is no pod"


def revision_findings(seen: Seen) -> list[str]:
    """Of every operand each pod is of its DaemonSet's newest revision.

    Pods on nodes whose driver is being upgraded may still be of the old one.
    """
    return [text for one in _sets(seen) for text in _of_revision(seen, one)]


def any_pod(seen: Seen) -> bool:
    """Whether any operand has a pod: without one nothing can be said of revisions."""
    return any(pods_of(seen, one) for one in _sets(seen))


def _sets(seen: Seen) -> list[Manifest]:
    return [one for one in facts(seen, "DaemonSet") if operand_of(one) is not None]


def _of_revision(seen: Seen, daemonset: Manifest) -> list[str]:
    name = name_of(daemonset)
    generation = int(dig(daemonset, "metadata", "generation", default=0))
    if int(dig(daemonset, "status", "observedGeneration", default=generation)) < generation:
        return [f"DaemonSet {name} was changed, and Kubernetes has not looked at the change"]
    moving = {name_of(one) for one in gpu_nodes(seen) if changing(seen, one)}
    newest = newest_revision(seen, daemonset)
    pods = [one for one in pods_of(seen, daemonset) if node_of(one) not in moving]
    if not newest:
        status: Manifest = dig(daemonset, "status", default={})
        old = int(status.get("desiredNumberScheduled", 0)) - int(status.get("updatedNumberScheduled", 0)) - len(moving)
        return [f"{old} pods of DaemonSet {name} are of an old revision, or missing"] if old > 0 else []
    return [
        f"pod {name_of(one)} on node {node_of(one)} is of an old revision of DaemonSet {name}"
        for one in pods
        if labels_of(one).get(REVISION, newest) != newest
    ]


def newest_revision(seen: Seen, daemonset: Manifest) -> str:
    """The hash that pods of a DaemonSet's newest revision carry; "" where revisions could not be read."""
    mine = [
        one for one in facts(seen, "ControllerRevision")
        if dig(one, "metadata", "namespace") == dig(daemonset, "metadata", "namespace")
        and any(
            owner.get("kind") == "DaemonSet" and owner.get("name") == name_of(daemonset)
            for owner in dig(one, "metadata", "ownerReferences", default=[])
        )
    ]  # fmt: skip
    last = max(mine, key=lambda one: int(one.get("revision", 0)), default=None)
    return labels_of(last).get(REVISION, "") if last else ""
