"""An API server in memory that knows what an arm consists of, with a kubelet that starts its pods."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.pods.program import Place

NAMESPACE = "arm"


@dataclass
class Tunnels:
    """Ports of this machine that lead nowhere, and what they were opened for."""

    opened: dict[int, int] = field(default_factory=dict[int, int])
    pods: dict[int, Callable[[], str]] = field(default_factory=dict[int, Callable[[], str]])

    def open(self, namespace: str, pod: Any, port: int) -> int:
        """A number that nobody listens on."""
        del namespace
        number = 1 + len(self.opened)
        self.opened[number], self.pods[number] = port, pod
        return number


class Store(Api):
    """Objects by their path; a pod runs as soon as it is there, with a new address and a new UID each time.

    Attributes:
        objects: by URL path.
        written: (method, path, body) of every write.
        stuck: reason why containers wait instead of running, "" for none.
    """

    def __init__(self, minor: str = "36") -> None:
        self.objects: dict[str, Manifest] = {}
        self.written: list[tuple[str, str, Any]] = []
        self.stuck = ""
        self._minor, self._made = minor, 0

    @property
    def version(self) -> dict[str, str]:
        return {"major": "1", "minor": self._minor, "gitVersion": f"v1.{self._minor}.0"}

    def request(
        self, method: str, path: str, body: Manifest | Sequence[Manifest] | str | None = None, *,
        content_type: str | None = None, query: Mapping[str, object] | None = None, timeout: Any = None,
        again: bool = True,
    ) -> str:  # fmt: skip
        del content_type, timeout, again
        path, asked = urlsplit(path).path, {**parse_qs(urlsplit(path).query), **(query or {})}
        sent: Any = json.loads(body) if isinstance(body, str) else body
        if method == "get":
            return json.dumps(self._read(path, str(asked.get("labelSelector") or "")))
        self.written.append((method, path, sent))
        if method == "delete":
            self._gone(path)
            return "{}"
        if method == "post":
            path = f"{path}/{sent['metadata']['name']}"
        if method == "patch" and path.endswith("/status"):
            path = path.removesuffix("/status")
            conditions = {one["type"]: one for one in self.objects[path]["status"].get("conditions", [])}
            conditions |= {one["type"]: one for one in sent["status"]["conditions"]}
            ready = {"type": "Ready", "status": conditions.get("gpuassay.io/in-pool", {}).get("status", "False")}
            self.objects[path]["status"]["conditions"] = list({**conditions, "Ready": ready}.values())
            return json.dumps(self.objects[path])
        merged = (
            {**self.objects.get(path, {}), **cast("Manifest", sent)} if "kind" in sent else self._merged(path, sent)
        )
        self.objects[path] = merged
        self._act(path)
        return json.dumps(self.objects[path])

    def _merged(self, path: str, sent: Manifest) -> Manifest:
        if path not in self.objects:
            raise ApiRefused(404, "NotFound", "there is none")
        found = self.objects[path]
        for key, value in sent.items():
            found[key] = {**found.get(key, {}), **value}
        return found

    def _read(self, path: str, selector: str) -> Manifest:
        if path in self.objects:
            return self.objects[path]
        if not path.endswith("s") or path.rpartition("/")[0] in self.objects:
            raise ApiRefused(404, "NotFound", "there is none")
        wanted = dict(one.split("=") for one in selector.split(",") if one)
        items = [
            one for at, one in self.objects.items()
            if at.rpartition("/")[0] == path and wanted.items() <= one["metadata"].get("labels", {}).items()
        ]  # fmt: skip
        if not items and path.count("/") in (3, 5) and not path.endswith(("pods", "services")):
            raise ApiRefused(404, "NotFound", "there is none")
        return {"items": items, "metadata": {}}

    def _gone(self, path: str) -> None:
        if path not in self.objects:
            raise ApiRefused(404, "NotFound", "there is none")
        del self.objects[path]
        if "/deployments/" in path:
            self._pods_of(path, keep=0)

    def _act(self, path: str) -> None:
        one = self.objects[path]
        if "/deployments/" in path:
            self._pods_of(path, keep=int(one["spec"]["replicas"]))
        elif "/pods/" in path and "status" not in one:
            self._start(one)
        elif "/services/" in path:
            one["spec"]["clusterIP"] = "10.0.0.9"

    def _pods_of(self, path: str, keep: int) -> None:
        name = path.rpartition("/")[2]
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        there = [at for at in self.objects if at.startswith(f"{pods}/{name}-")]
        for at in there[keep:]:
            del self.objects[at]
        if keep and not there:
            template = json.loads(json.dumps(self.objects[path]["spec"]["template"]))
            template["metadata"]["name"] = f"{name}-{self._made}"
            self._start(template)
            self.objects[f"{pods}/{template['metadata']['name']}"] = template

    def _start(self, pod: Manifest) -> None:
        self._made += 1
        pod["metadata"]["uid"] = f"uid-{self._made}"
        state: Manifest = (
            {"waiting": {"reason": self.stuck, "message": "it says"}} if self.stuck else {"running": {"startedAt": "t"}}
        )
        pod["status"] = {
            "phase": "Running", "podIP": f"10.1.0.{self._made}", "containerStatuses": [{"state": state}],
            "conditions": [{"type": "Ready", "status": "False" if pod["spec"].get("readinessGates") else "True"}],
        }  # fmt: skip

    def of_kind(self, plural: str) -> dict[str, Manifest]:
        """Objects of a kind by name."""
        return {at.rpartition("/")[2]: one for at, one in self.objects.items() if f"/{plural}/" in at}


def place(folder: Path, store: Store) -> Place:
    """Where an arm stands on such a server."""
    cluster = Cluster(
        name="yours", provider="existing", kubeconfig=folder, api=store, directory=folder, capabilities=frozenset()
    )  # fmt: skip
    return Place(cluster, NAMESPACE, folder, {"gpuassay.io/run": "r"}, cast("Any", Tunnels()))
