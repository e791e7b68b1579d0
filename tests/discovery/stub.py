"""An API server that is played: answers of recorded shapes, refusals, and a caller with the rights that a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from gpuassay.access.connection import Connection
from gpuassay.cluster.api import TIMEOUT, Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig

NAMESPACES = "/api/v1/namespaces"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

May = Callable[[str, str, str], bool]
"""Whether the caller may: group, resource with its subresource, verb."""


class Stub(Api):
    """Answers GETs from `objects` by path; kinds of Kubernetes itself that are not given are empty."""

    def __init__(
        self,
        version: str,
        objects: Mapping[str, Sequence[Manifest] | Manifest],
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        refused: Iterable[str] = (),
        may: May = lambda group, resource, verb: True,
        trial: ApiRefused | Manifest | None = None,
    ) -> None:
        """`groups` are served beside Kubernetes' own; paths in `refused` are answered with 403."""
        super().__init__(cast(Connection, None))
        self.objects = dict(objects)
        self.groups = {**BUILT_IN, **(groups or {})}
        self.refused, self.may, self.trial = frozenset(refused), may, trial
        self.server = version
        self.asked: list[str] = []

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        *,
        content_type: str | None = None,
        query: Mapping[str, object] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        again: bool = True,
    ) -> str:
        """As the real one; what would change the cluster is a defect of the caller."""
        selector = str((query or {}).get("labelSelector") or "")
        self.asked.append(f"{path}?{selector}" if selector else path)
        if path in self.refused:
            raise ApiRefused(403, "Forbidden", f'User "me" cannot {method} {path}')
        if method == "post":
            return json.dumps(self._post(path, cast("Manifest", body), query or {}))
        assert method == "get", f"{method} {path}"
        return json.dumps(self._get(path, selector))

    def _post(self, path: str, body: Manifest, query: Mapping[str, object]) -> Manifest:
        if path == REVIEWS:
            if path_asked := body["spec"].get("nonResourceAttributes"):
                return {"status": {"allowed": self.may("", path_asked["path"], path_asked["verb"])}}
            right = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (right["resource"], right.get("subresource"))))
            return {"status": {"allowed": self.may(right["group"], resource, right["verb"])}}
        assert path == NAMESPACES and query == {"dryRun": "All"}, path
        if isinstance(self.trial, ApiRefused):
            raise self.trial
        return self.trial or body

    def _get(self, path: str, selector: str) -> Any:
        if path == "/version":
            return {"gitVersion": self.server}
        if path == "/apis":
            return {"groups": [_group(name, versions) for name, versions in self.groups.items()]}
        if path in self.objects:
            found = self.objects[path]
            return found if isinstance(found, dict) else {"metadata": {}, "items": _chosen(found, selector)}
        _, _, rest = path.rpartition("/")
        place = path.removeprefix("/apis/").removeprefix("/api/").removesuffix(f"/{rest}")
        if place == "v1" or place in {f"{name}/{one}" for name, some in BUILT_IN.items() for one in some}:
            return {"metadata": {}, "items": []}
        raise ApiRefused(404, "NotFound", "the server could not find the requested resource")


BUILT_IN: Mapping[str, Sequence[str]] = {
    name: ["v1"]
    for name in (
        "apps", "batch", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io",
        "discovery.k8s.io", "events.k8s.io", "resource.k8s.io",
    )
}  # fmt: skip


def _chosen(found: Sequence[Manifest], selector: str) -> Sequence[Manifest]:
    key, _, value = selector.partition("=")
    return [one for one in found if not selector or dig(one, "metadata", "labels", key) == value]


def _group(name: str, versions: Sequence[str]) -> Manifest:
    told = [{"groupVersion": f"{name}/{one}", "version": one} for one in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def node(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    kubelet: str = "v1.34.1",
    provider: str = "",
    gpus: Mapping[str, str] | None = None,
    ready: bool = True,
    arch: str = "amd64",
) -> Manifest:
    """A node as kubelets report it."""
    state = {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "message": "Kubelet stopped posting node status.",
    }
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/arch": arch, **(labels or {})}},
        "spec": {"providerID": provider} if provider else {},
        "status": {
            "allocatable": {"cpu": "8", "memory": "24684084Ki", "pods": "110", **(gpus or {})},
            "conditions": [state],
            "nodeInfo": {
                "architecture": arch, "containerRuntimeVersion": "containerd://2.2.0", "kubeletVersion": kubelet,
                "operatingSystem": "linux",
            },
        },
    }  # fmt: skip


def named(name: str, namespace: str = "", **rest: Any) -> Manifest:
    """An object by its name; `rest` are its other parts, `metadata` among them."""
    meta: Manifest = {"name": name, **({"namespace": namespace} if namespace else {}), **rest.pop("metadata", {})}
    return {"metadata": meta, **rest}


def endpoints(namespace: str, service: str, *, ready: bool | None = True) -> Manifest:
    """An EndpointSlice of a Service with one pod."""
    conditions = {} if ready is None else {"ready": ready}
    meta = {"labels": {"kubernetes.io/service-name": service}}
    return named(
        f"{service}-x", namespace, metadata=meta, endpoints=[{"addresses": ["10.0.0.1"], "conditions": conditions}]
    )
