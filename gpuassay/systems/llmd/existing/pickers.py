"""The endpoint pickers of somebody's gateway: found by the InferencePool, and their metrics where these can be read.

Nothing but the cause of a failure is read from them: where they cannot be found or read, that is noted and no more.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.program import http
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.component.metrics import Sample, parse, scrape

METRICS_PORT = 9090
"""Of llm-d's and of the inference extension's pickers, where their Pod names none."""
REACH_SECONDS = 1.0


class Unseen(Exception):  # noqa: N818 - reads as what it is
    """The pickers cannot be found or read; one line says why."""


@dataclass(frozen=True)
class PickerPod:
    """One endpoint picker of somebody's.

    Attributes:
        name: of its Pod.
        address: of its Pod.
        port: of its metrics.
    """

    name: str
    address: str
    port: int


def find_pickers(api: Api, pool: Manifest, namespace: str) -> list[PickerPod]:
    """The Pods behind the Service that a pool names as its picker.

    Raises:
        Unseen: the pool names none, it is no Service, or Service or Pods may not be read; one line.
    """
    spec: Manifest = pool.get("spec", {})
    reference: Mapping[str, Any] = spec.get("endpointPickerRef") or spec.get("extensionRef") or {}
    name, kind = reference.get("name"), reference.get("kind", "Service")
    if not name or kind != "Service":
        raise Unseen(f"the InferencePool's endpoint picker is no Service, but {kind} {name or 'without a name'}")
    try:
        service = api.get("Service", str(name), namespace)
        selector: dict[str, str] = dig(service or {}, "spec", "selector", default={})
        if not selector:
            raise Unseen(f"the picker's Service {namespace}/{name} is not there, or selects no Pods")
        pods = api.list("Pod", namespace, ",".join(f"{key}={value}" for key, value in selector.items()))
    except ApiRefused as refused:
        raise Unseen(f"the picker's Service {namespace}/{name} or its Pods may not be read: {refused}") from None
    found = [
        PickerPod(one["metadata"]["name"], address, _metrics_port(one))
        for one in pods
        if (address := dig(one, "status", "podIP"))
    ]
    if not found:
        raise Unseen(f"no Pod of the picker's Service {namespace}/{name} has an address")
    return found


def _metrics_port(pod: Manifest) -> int:
    ports: list[Manifest] = [
        port for one in dig(pod, "spec", "containers", default=[]) for port in one.get("ports") or ()
    ]  # fmt: skip
    return next((int(one["containerPort"]) for one in ports if "metrics" in str(one.get("name", ""))), METRICS_PORT)


def samples_of(api: Api, namespace: str, pods: list[PickerPod]) -> dict[str, list[Sample]]:
    """The metrics of each picker, by its Pod's name, at its address or else through the API server's Pod proxy.

    Raises:
        Unseen: the metrics of one cannot be read; one line.
    """

    def one(pod: PickerPod) -> list[Sample]:
        what = f"endpoint picker {pod.name} at {pod.address}:{pod.port}"
        try:
            if _reachable(pod):
                host = f"[{pod.address}]" if ":" in pod.address else pod.address
                return scrape(what, f"http://{host}:{pod.port}/metrics", http())
            proxy = f"/api/v1/namespaces/{namespace}/pods/{pod.name}:{pod.port}/proxy/metrics"
            return parse(api.request("get", proxy), what=what)
        except ClusterError as error:
            raise Unseen(f"the metrics of {what} cannot be read: {error}") from None

    return dict(zip([pod.name for pod in pods], side_by_side(one, pods), strict=True))


def _reachable(pod: PickerPod) -> bool:
    try:
        socket.create_connection((pod.address, pod.port), REACH_SECONDS).close()
    except OSError:
        return False
    return True
