"""Somebody's gateway, picker and model servers: what can be seen and asked of them from outside, and nothing else.

Model servers are found as Pods by their labels. They are asked directly by the Pod's address where it can be reached
from here, else through the API server's Pod proxy. Nothing is created, changed or deleted.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Never, cast
from urllib.parse import quote

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.program import ANSWER_SECONDS
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.deployment import Routing
from gpuassay.systems.llmd.component.endpoints import members
from gpuassay.systems.llmd.component.metrics import NoMetricsHere, Sample, parse, scrape
from gpuassay.systems.llmd.component.simulator import Replica, completion
from gpuassay.systems.llmd.component.spec import Arm

REACH_SECONDS = 1.0
"""How long a Pod's address may take to accept a connection before the Pod proxy is taken instead."""

METRICS_PATHS = ("/metrics", "/prometheus/metrics", "/v1/metrics")
"""Where engines have their Prometheus page: nearly all; TensorRT-LLM, whose /metrics is JSON; NVIDIA NIM."""


class _OutOfReach:
    """Stands where an arm of ours has a part that is not ours to touch in somebody's."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Never:
        raise NotFromOutside(f"{self._what} of somebody's gateway cannot be touched from outside")


class ExistingReplica(Replica):
    """A model server of somebody's: may be asked and scraped; is never stopped, killed or changed."""

    def __init__(self, api: Api, namespace: str, name: str, address: str, port: int, model: str) -> None:
        """Finds out at once whether the address can be reached from here."""
        super().__init__(name, address, port, model, cast("Any", _OutOfReach(f"the process of {name}")))
        self._api, self._namespace, self._pod = api, namespace, name
        self._proxy = f"/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy"
        self._paths = METRICS_PATHS
        self.proxied = not _reachable(address, port)

    @property
    def url(self) -> str:
        """Base URL of its API. Raises NotFromOutside where only the Pod proxy reaches it."""
        if self.proxied:
            raise NotFromOutside(f"{self.name} is reached through the API server's Pod proxy only: it has no URL here")
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"

    def healthy(self) -> bool:
        """Whether its metrics can be read."""
        try:
            return bool(self.metrics())
        except ClusterError:
            return False

    def metrics(self) -> list[Sample]:
        """All its metrics now, at the first of `METRICS_PATHS` that has some.

        Raises:
            ClusterError: it does not answer, may not be asked, or has no page of metrics; one line names it.
        """
        first: NoMetricsHere | None = None
        for path in self._paths:
            try:
                found = self._page(path)
            except NoMetricsHere as error:
                first = first or error
            else:
                self._paths = (path,)
                return found
        assert first is not None
        others = f"; nor at {', '.join(self._paths[1:])}" if len(self._paths) > 1 else ""
        raise NoMetricsHere(f"{first}{others}") from None

    def _page(self, path: str) -> list[Sample]:
        what = f"model server {self.name} at {self.address}:{self.port}{path}"
        if not self.proxied:
            return scrape(what, self.url + path, self._http)
        return parse(self._through_proxy("get", path), what=what)

    def started(self) -> list[Sample]:
        """When the containers that serve its port started, named as by kube-state-metrics; none where it is not told.

        A restart changes it, and so tells of counters that began anew even if they have grown beyond their old values.
        """
        try:
            pod = self._api.get("Pod", self._pod, self._namespace) or {}
        except ClusterError:
            return []
        containers = dig(pod, "spec", "containers", default=[])
        serving = {
            one["name"] for one in containers
            if any(port.get("containerPort") == self.port for port in one.get("ports") or ())
        } or {one["name"] for one in containers}  # fmt: skip
        now = time.time_ns()
        return [
            {
                "at": now, "name": "kube_pod_container_state_started", "labels": {"container": one["name"]},
                "value": datetime.fromisoformat(began).timestamp(),
            }
            for one in dig(pod, "status", "containerStatuses", default=[])
            if one["name"] in serving and (began := dig(one, "state", "running", "startedAt"))
        ]  # fmt: skip

    def complete(self, prompt: str, *, max_tokens: int = 1, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """One completion asked of this replica directly, past gateway and picker. Raises ClusterError."""
        if not self.proxied:
            return completion(self._http, self.url, self.model, prompt, max_tokens, timeout)[0]
        body = {"model": self.model, "prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True}
        return cast("dict[str, Any]", json.loads(self._through_proxy("post", "/v1/completions", body)))

    def _through_proxy(self, method: str, path: str, body: Manifest | None = None) -> str:
        try:
            return self._api.request(method, self._proxy + quote(path), body)
        except ApiRefused as refused:
            kind = NoMetricsHere if refused.status == 404 and method == "get" else ClusterError
            raise kind(
                f"{self.name}:{self.port} is not reached at {self.address}, and the Pod proxy answers {refused}; "
                "run where Pods can be reached, or allow pods/proxy"
            ) from None

    def _refuse(self, *_: object, **__: object) -> Never:
        raise NotFromOutside(f"{self.name} is somebody's: it is not stopped, killed or changed")

    admin = kill = terminate = suspend = resume = restart = stop = launch = await_ready = _refuse


def _reachable(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), REACH_SECONDS).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Place:
    """Where somebody's gateway is.

    Attributes:
        url: base URL of its OpenAI-like API.
        model: the served model.
        namespace: of InferencePool and Pods.
        pool: name of the InferencePool.
        selector: labels of the model servers' Pods; empty: the pool's.
        verify_tls: whether its certificate must be valid.
        headers: what every request carries.
    """

    url: str
    model: str
    namespace: str
    pool: str
    selector: Mapping[str, str] = field(default_factory=dict[str, str])
    verify_tls: bool = True
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class ExistingGateway(Routing):
    """As much of an arm as there is from outside: URL, model, pool and model servers.

    Attributes:
        manifest: the InferencePool as it was found.
        pods: the Pods of the model servers as they were found.
    """

    def __init__(self, api: Api, place: Place, folder: Path, profile: str = "precise") -> None:
        """Find pool and model servers.

        Raises:
            ClusterError: the pool is not there, the selector matches no ready Pod, a model server cannot be asked.
        """
        self.place, self.folder, self.namespace = place, folder, place.namespace
        self.verify_tls, self.headers = place.verify_tls, place.headers
        self.manifest = find_pool(api, place.namespace, place.pool)
        wanted = dict(place.selector or dig(self.manifest, "spec", "selector", "matchLabels", default={}))
        self.pods = find_pods(api, place.namespace, wanted)
        self.replicas = _replicas(api, place, self.manifest, self.pods, wanted)
        self.arm = Arm(profile=profile, model=place.model, pool=place.pool)
        self.endpoints = cast("Any", _OutOfReach("the Pods"))
        self.picker = self.envoy = self.tokenizer = self.forwarder = None
        self.components, self.steps = [], {}

    @property
    def url(self) -> str:
        """Base URL of the gateway."""
        return self.place.url

    def start(self) -> None:
        """Never: it runs."""
        raise NotFromOutside("somebody's gateway is not started by us")

    def stop(self) -> None:
        """Nothing is ours to stop."""


def find_pool(api: Api, namespace: str, name: str) -> Manifest:
    """The InferencePool. Raises ClusterError with one line if it is not there or may not be read."""
    kind = crds.INFERENCE_POOL.name
    try:
        found = api.get(kind, name, namespace)
        if found is not None:
            return found
        there = [one["metadata"]["name"] for one in api.list(kind, namespace)]
    except ApiRefused as refused:
        if refused.status == 404:
            raise ClusterError(
                f"--inference-pool {namespace}/{name}: the cluster serves no {crds.INFERENCE_POOL.version} "
                "InferencePool; install the Gateway API Inference Extension's CRDs"
            ) from None
        raise ClusterError(f"--inference-pool {namespace}/{name} may not be read: {refused}") from None
    known = f"that namespace has {', '.join(there)}" if there else "that namespace has none"
    raise ClusterError(f"--inference-pool {namespace}/{name} is not there; {known}")


def find_pods(api: Api, namespace: str, wanted: Mapping[str, str]) -> list[Manifest]:
    """The Pods with the labels `wanted`. Raises ClusterError with one line if there are none, or none may be read."""
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    try:
        found = api.list("Pod", namespace, selector)
        if found:
            return found
        there = len(api.list("Pod", namespace))
    except ApiRefused as refused:
        raise ClusterError(f"Pods of namespace {namespace} may not be read: {refused}") from None
    raise ClusterError(
        f"no Pod of namespace {namespace} matches {selector!r} (it has {there} Pods); "
        "correct --endpoint-selector KEY=VALUE,..."
    )


def _replicas(
    api: Api, place: Place, pool: Manifest, pods: Sequence[Manifest], wanted: Mapping[str, str]
) -> list[Replica]:
    """Every ready endpoint: one for each port that a Pod serves."""
    chosen = pool | {"spec": pool["spec"] | {"selector": {"matchLabels": dict(wanted)}}}
    found = [(pod, at) for pod in pods for at in members(chosen, [pod])]
    if not found:
        raise ClusterError(
            f"none of the {len(pods)} Pods that match is Ready with a port of the pool; wait until they are"
        )

    def reached(item: tuple[Manifest, str]) -> Replica:
        address, _, port = item[1].rpartition(":")
        return ExistingReplica(api, place.namespace, item[0]["metadata"]["name"], address, int(port), place.model)

    return side_by_side(reached, found)


def require_answers(replicas: Sequence[Replica]) -> None:
    """Raises ClusterError, with one line, if the metrics of a model server cannot be read from here."""
    side_by_side(lambda one: one.metrics(), replicas)
