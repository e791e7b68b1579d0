"""Model servers as the cluster knows them: one Pod each, and the InferencePool that selects them.

No kubelet runs here: Pods are made by hand and their status is written as a kubelet would. They name no node, since the
controller manager deletes Pods of nodes that do not exist, and are scheduled by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from gpuassay.cluster.api import Api
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.simulator import Replica

ACTIVE_PORTS = "inference.networking.k8s.io/active-ports"
"""Pod annotation: those of the pool's target ports that this Pod serves (comma-separated); without it, all."""

MOST_REPLICAS = 8
"""Replicas of a pool: each has a port of its own, and the CRD allows eight target ports."""

_NEVER_SCHEDULED = "gpuassay.io/none"


def pool(
    name: str, namespace: str, ports: Sequence[int], selector: Mapping[str, str], picker_port: int, failure_mode: str
) -> Manifest:
    """An InferencePool over `ports`; the picker is named as a Service that nobody needs here."""
    return {
        "apiVersion": crds.INFERENCE_POOL.version,
        "kind": crds.INFERENCE_POOL.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": dict(selector)},
            "targetPorts": [{"number": port} for port in ports],
            "endpointPickerRef": {
                "name": f"{name}-picker",
                "port": {"number": picker_port},
                "failureMode": failure_mode,
            },
        },
    }


def pod(replica: Replica, namespace: str, labels: Mapping[str, str]) -> Manifest:
    """The Pod of a replica, without status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": replica.name,
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": {ACTIVE_PORTS: str(replica.port)},
        },
        "spec": {
            "schedulerName": _NEVER_SCHEDULED,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "model-server", "image": "gpuassay.io/llm-d-inference-sim"}],
        },
    }


def running(address: str, *, ready: bool = True) -> Manifest:
    """The status of a running Pod, as a kubelet would write it."""
    return {
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }
    }


def members(inference_pool: Manifest, pods: Sequence[Manifest]) -> list[str]:
    """`address:port` of every endpoint of the pool: what a gateway sends requests to.

    A Pod counts when its labels match, it is Ready, has an address and is not being deleted; its ports are the pool's
    target ports, or those of them that it names (Gateway API Inference Extension, InferencePool).
    """
    wanted = inference_pool["spec"]["selector"]["matchLabels"]
    ports = [int(port["number"]) for port in inference_pool["spec"]["targetPorts"]]
    found: list[str] = []
    for candidate in pods:
        labels = dig(candidate, "metadata", "labels", default={})
        address = dig(candidate, "status", "podIP")
        if any(labels.get(key) != value for key, value in wanted.items()) or not address:
            continue
        if not is_true(candidate, "Ready") or dig(candidate, "metadata", "deletionTimestamp"):
            continue
        active = dig(candidate, "metadata", "annotations", ACTIVE_PORTS)
        # an annotation without a number is no missing annotation: such a Pod serves no port
        chosen = set(ports) if active is None else {int(port) for port in re.findall(r"\d+", str(active))}
        found += [f"{address}:{port}" for port in ports if port in chosen]
    return sorted(found)


class Endpoints:
    """The Pods and the pool of an arm, and what tests do to them.

    Every change is followed by `on_change(members)`: the part of a gateway controller, which would see it in a watch.

    Attributes:
        pool: name of the InferencePool.
        namespace: where all is.
        changes: how often the gateway was told of a pool, the first time included.
    """

    def __init__(
        self, api: Api, name: str, namespace: str, replicas: Sequence[Replica], labels: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is created yet; `labels` are put on all objects beside the pool's selector."""
        self.pool, self.namespace = name, namespace
        self.selector = {"app": name}
        self.on_change: Callable[[list[str]], None] | None = None
        self.changes = 0
        self._api, self._replicas, self._labels = api, list(replicas), dict(labels or {})

    def create(self, picker_port: int, failure_mode: str) -> None:
        """Make the pool and Pods that are Ready."""
        ports = [replica.port for replica in self._replicas]
        wanted = pool(self.pool, self.namespace, ports, self.selector, picker_port, failure_mode)
        wanted["metadata"]["labels"] = self._labels
        self._api.apply(wanted)
        side_by_side(self._create_pod, self._replicas)

    def _create_pod(self, replica: Replica) -> None:
        self._api.apply(pod(replica, self.namespace, self._labels | self.selector | replica.labels))
        self._write_status(replica.name, running(replica.address))

    def _write_status(self, name: str, status: Manifest) -> None:
        self._api.patch("Pod", name, status, self.namespace, subresource="status")

    def members(self) -> list[str]:
        """`address:port` of every endpoint, from the API as it is now."""
        wanted = self.manifest()
        return members(wanted, self._api.list("Pod", self.namespace)) if wanted else []

    def manifest(self) -> Manifest | None:
        """The InferencePool as it is now, or None."""
        return self._api.get(crds.INFERENCE_POOL.name, self.pool, self.namespace)

    def sync(self) -> list[str]:
        """Tell the gateway who is in the pool now; for who changed objects by other means than this class."""
        self.changes += 1
        now = self.members()
        if self.on_change is not None:
            self.on_change(now)
        return now

    def set_ready(self, name: str, ready: bool) -> None:
        """Write the Pod's Ready condition."""
        replica = self._replica(name)
        self._write_status(name, running(replica.address, ready=ready))
        self.sync()

    def set_address(self, name: str, address: str) -> None:
        """Give the Pod another address; a model server listens on all of them."""
        self._write_status(name, running(address))
        self.sync()

    def set_labels(self, name: str, labels: Mapping[str, str | None]) -> None:
        """Change labels of the Pod; None removes one."""
        self._api.patch("Pod", name, {"metadata": {"labels": dict(labels)}}, self.namespace)
        self.sync()

    def set_active_ports(self, name: str, ports: Sequence[int] | None) -> None:
        """Change the annotation that says which of the pool's ports the Pod serves; None removes it."""
        value = ",".join(map(str, ports)) if ports is not None else None
        self._api.patch("Pod", name, {"metadata": {"annotations": {ACTIVE_PORTS: value}}}, self.namespace)
        self.sync()

    def delete(self, name: str) -> None:
        """Delete the Pod; its model server runs on."""
        self._api.delete("Pod", name, self.namespace, grace_seconds=0)
        self.sync()

    def restore(self, name: str) -> None:
        """Make the Pod again as `create` did, or put it back into that state."""
        self._create_pod(self._replica(name))
        self.sync()

    def remove(self) -> None:
        """Delete Pods and pool."""
        side_by_side(
            lambda replica: self._api.delete("Pod", replica.name, self.namespace, grace_seconds=0), self._replicas
        )
        self._api.delete(crds.INFERENCE_POOL.name, self.pool, self.namespace)

    def _replica(self, name: str) -> Replica:
        return next(replica for replica in self._replicas if replica.name == name)
