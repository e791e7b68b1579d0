"""Somebody's gateway, picker and model servers: what can be seen and asked of them from outside, and nothing else.

Model servers are found as Pods by their labels. They are asked directly by the Pod's address where it can be reached
from here, else through the API server's Pod proxy. Nothing is created, changed or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.cluster.parallel import side_by_side
from gpuassay.load.credentials import CERTIFICATE, HEADERS
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.deployment import Routing
from gpuassay.systems.llmd.component.endpoints import members
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.existing.dialect import COMPLETIONS, Dialect
from gpuassay.systems.llmd.existing.replica import PLAIN, Access, ExistingReplica, OutOfReach


@dataclass(frozen=True)
class Place:
    """Where somebody's gateway is.

    Attributes:
        url: base URL of its OpenAI-like API; "" where its picker alone is judged.
        model: the served model.
        namespace: of InferencePool and Pods.
        pool: name of the InferencePool.
        selector: labels of the model servers' Pods; empty: the pool's.
        verify_tls: whether its certificate must be valid.
        headers: what every request carries.
        certificate: PEM file with our certificate and its key, "" for none.
        others: further models behind it.
        headers_file: where the load generator reads further headers, "" for none.
        way: how it is asked.
        access: how its model servers are asked.
        epp_target: `HOST:PORT` of its endpoint picker, "" where that is not asked directly.
    """

    url: str
    model: str
    namespace: str
    pool: str
    selector: Mapping[str, str] = field(default_factory=dict[str, str])
    verify_tls: bool = True
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    certificate: str = ""
    others: tuple[str, ...] = ()
    headers_file: str = ""
    way: Dialect = COMPLETIONS
    access: Access = PLAIN
    epp_target: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What a load generator of its own process has to know, beside the token that it has from the environment."""
        told = {HEADERS: self.headers_file, CERTIFICATE: self.certificate}
        return {name: value for name, value in told.items() if value}


class ExistingGateway(Routing):
    """As much of an arm as there is from outside: URL, model, pool and model servers.

    Attributes:
        manifest: the InferencePool as it was found.
        pods: the Pods of the model servers as they were found.
        api: by which the cluster is read.
    """

    def __init__(self, api: Api, place: Place, folder: Path, profile: str = "precise") -> None:
        """Find pool and model servers.

        Raises:
            ClusterError: the pool is not there, the selector matches no ready Pod, a model server cannot be asked.
        """
        self.api = api
        self.place, self.folder, self.namespace = place, folder, place.namespace
        self.verify_tls, self.headers = place.verify_tls, place.headers
        self.manifest = find_pool(api, place.namespace, place.pool)
        wanted = dict(place.selector or dig(self.manifest, "spec", "selector", "matchLabels", default={}))
        self.pods = find_pods(api, place.namespace, wanted)
        self.replicas = _replicas(api, place, self.manifest, self.pods, wanted)
        self.arm = Arm(profile=profile, model=place.model, pool=place.pool)
        self.endpoints = cast("Any", OutOfReach("the Pods"))
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
        name = item[0]["metadata"]["name"]
        return ExistingReplica(
            api, place.namespace, name, address, int(port), place.model, place.access, place.way
        )  # fmt: skip

    return side_by_side(reached, found)


def require_answers(replicas: Sequence[Replica]) -> None:
    """Raises ClusterError, with one line, if the metrics of a model server cannot be read from here."""
    side_by_side(lambda one: one.metrics(), replicas)
