"""Who makes slices on somebody's node is away for a while: its pod ends, and its DaemonSet leaves the node out.

Its pods on other nodes go on: the DaemonSet replaces none while it is changed (`OnDelete`), and has the template of
before when it is changed back. How that is done is noted on the cluster beforehand (`gpuassay.provision.changes`).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gpuassay.capabilities import CLUSTER_WIDE
from gpuassay.cluster.errors import ApiRefused, NotFromOutside
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.provision import changes, inventory
from gpuassay.provision.changes import Change, Changed
from gpuassay.provision.marks import image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.slices.acts.pods import SlicerName
from gpuassay.systems.slices.provision_dra import REPOSITORIES
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.waiting import wait

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.api import Api
    from gpuassay.scenarios.lab import Lab

SECONDS = 90.0
"""Within which a slicer's pod goes, or is ready again."""
IMAGES: Mapping[str, Sequence[str]] = {"device-plugin": ("k8s-device-plugin",), "dra": REPOSITORIES}
COMPONENTS: Mapping[str, str] = {"device-plugin": "device-plugin", "dra": "dra-driver"}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

_one_at_a_time = threading.Lock()
"""A DaemonSet is changed for one node at a time."""


@contextmanager
def away(lab: Lab, slicer: SlicerName, node: str, *, kill: bool) -> Generator[None]:
    """Have a node without its slicer for the length of a `with` block; returns once it is ready again.

    Args:
        lab: the scenario's lab.
        slicer: who makes slices there.
        node: the node's name.
        kill: end it at once, instead of by its grace period.

    Raises:
        UnobtainableError: it is somebody's, who has not allowed that it is changed.
        NotFromOutside: no DaemonSet of it has a pod on the node.
        ClusterError: another run has changed it.
    """
    api, component = lab.api, COMPONENTS[slicer]
    if inventory.read(api, component) is None and not lab.cluster.has(CLUSTER_WIDE):
        raise UnobtainableError(f"{CLUSTER_WIDE} (the {component} is somebody's: --allow-cluster-mutation)")
    with _one_at_a_time:
        found = daemonset(api, slicer, node)
        ref = Ref.of(found)
        changes.note(api, Changed(component, lab.run_id, [Change(ref, back(found))]))
        try:
            Objects(api).patch(ref, without(found, node))
            for pod in pods_on(api, found, node) if kill else []:
                api.delete("Pod", name_of(pod), ref.namespace, grace_seconds=0)
            wait(
                lambda: pods_on(api, found, node), lambda left: not left, what=f"the {component} to leave {node}",
                timeout=SECONDS, delay=0.2,
            )  # fmt: skip
            yield
        finally:
            noted = changes.read(api, component)
            if noted is not None:
                changes.undo(Objects(api), noted)
        wait(
            lambda: pods_on(api, found, node), lambda there: any(is_true(one, "Ready") for one in there),
            what=f"the {component} to be ready on {node}", timeout=SECONDS, delay=0.2,
        )  # fmt: skip


def daemonset(api: Api, slicer: SlicerName, node: str) -> Manifest:
    """The DaemonSet of a slicer that has a pod on a node.

    Raises:
        NotFromOutside: there is none, or DaemonSets may not be read.
    """
    with suppress(ApiRefused):
        for one in api.list("DaemonSet"):
            if runs(one, IMAGES[slicer]) and pods_on(api, one, node):
                return one
    raise NotFromOutside(f"no DaemonSet of {' or '.join(IMAGES[slicer])} is seen on node {node}")


def runs(found: Manifest, repositories: Sequence[str]) -> bool:
    """Whether a DaemonSet runs an image of these repositories."""
    containers: list[Manifest] = dig(found, "spec", "template", "spec", "containers", default=[])
    return any(image(one)[0].endswith(tuple(repositories)) for one in containers)


def pods_on(api: Api, found: Manifest, node: str) -> list[Manifest]:
    """Pods of a DaemonSet on a node, also those that are ending."""
    labels: dict[str, str] = dig(found, "spec", "selector", "matchLabels", default={})
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = api.list("Pod", str(found["metadata"]["namespace"]), selector)
    return [one for one in pods if dig(one, "spec", "nodeName", default="") == node]


def without(found: Manifest, node: str) -> Manifest:
    """Merge patch by which a DaemonSet leaves a node out, and replaces no pod on others."""
    path = ("spec", "template", "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")
    terms: list[Manifest] = dig(found, *path, default=None) or [{}]
    other: Manifest = {"key": "metadata.name", "operator": "NotIn", "values": [node]}
    changed: list[Manifest] = []
    for one in terms:
        fields: list[Manifest] = one.get("matchFields", [])
        changed.append(one | {"matchFields": [*fields, other]})
    return {
        "spec": {
            "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
            "template": {"spec": {"affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": changed}}}}},
        }
    }


def back(found: Manifest) -> Manifest:
    """Merge patch that undoes `without` to the last field: a template that differs would replace every pod."""
    affinity: Manifest | None = dig(found, "spec", "template", "spec", "affinity", default=None)
    nodes: Manifest | None = (affinity or {}).get("nodeAffinity")
    if affinity is None:
        before: Manifest = {"affinity": None}
    elif nodes is None:
        before = {"affinity": {"nodeAffinity": None}}
    else:
        before = {"affinity": {"nodeAffinity": {_REQUIRED: nodes.get(_REQUIRED)}}}
    strategy = dig(found, "spec", "updateStrategy", default=None)
    return {"spec": {"updateStrategy": strategy, "template": {"spec": before}}}
