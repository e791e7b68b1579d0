"""A stand-in for an API server with Kueue's manager in pods: it stores what is changed, and makes pods again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import yaml

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.component.profiles import merged

NAMESPACE = "kueue-system"
KEY = "controller_manager_config.yaml"
FOUND = """apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
metrics: {bindAddress: ":8443"}
webhook: {port: 9443}
leaderElection: {leaderElect: true, resourceName: c1f6bfd2.kueue.x-k8s.io}
integrations: {frameworks: [batch/job]}
"""
KINDS = {
    "v1": {"Pod": "pods", "Namespace": "namespaces", "ConfigMap": "configmaps", "Node": "nodes"},
    "apps/v1": {"Deployment": "deployments"},
}


def deployment(name: str = "kueue-controller-manager", replicas: int = 1) -> Manifest:
    """As upstream's chart makes it."""
    container: Manifest = {
        "command": ["/manager"],
        "args": [f"--config=/{KEY}", "--zap-log-level=2"],
        "volumeMounts": [
            {"mountPath": "/visibility", "name": "visibility"},
            {"mountPath": f"/{KEY}", "name": "manager-config", "subPath": KEY},
        ],
    }
    volumes = [{"name": "visibility"}, {"name": "manager-config", "configMap": {"name": "kueue-manager-config"}}]
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "kueue"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "kueue"}},
                 "template": {"spec": {"containers": [container], "volumes": volumes}}},
    }  # fmt: skip


class Standing:
    """What the API server tells and takes.

    Attributes:
        refuses: a configuration with this key ends the manager with exit code 1.
        deaf: pods are started with the configuration before, as by a kubelet that is late.
    """

    def __init__(self, *, refuses: str = "", deaf: bool = False) -> None:
        self.refuses, self.deaf = refuses, deaf
        self._numbers = itertools.count()
        config: Manifest = {
            "apiVersion": "v1", "kind": "ConfigMap", "data": {KEY: FOUND},
            "metadata": {"name": "kueue-manager-config", "namespace": NAMESPACE},
        }  # fmt: skip
        self.stored: dict[tuple[str, str], Manifest] = {}
        for one in (deployment(), config):
            self.stored[one["kind"], one["metadata"]["name"]] = one
        self.workloads: list[Manifest] = []
        self.pods: dict[str, str] = {}
        """Configuration of each pod."""
        self.connection = SimpleNamespace(hide=SimpleNamespace(add=list[str]().append))

    @property
    def text(self) -> str:
        """Kueue's configuration as it is stored."""
        return self.stored["ConfigMap", "kueue-manager-config"]["data"][KEY]

    @property
    def replicas(self) -> int:
        """How many pods there are to be."""
        return self.stored["Deployment", "kueue-controller-manager"]["spec"]["replicas"]

    def _made(self) -> list[Manifest]:
        while len(self.pods) < self.replicas:
            self.pods[f"kueue-{next(self._numbers)}"] = FOUND if self.deaf else self.text
        return [self._pod(name, text) for name, text in self.pods.items()]

    def _pod(self, name: str, text: str) -> Manifest:
        crashed = bool(self.refuses) and self.refuses in yaml.safe_load(text)
        state: Manifest = {"terminated": {"exitCode": 1}} if crashed else {"running": {}}
        return {
            "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"},
            "status": {"conditions": [{"type": "Ready", "status": str(not crashed)}],
                       "containerStatuses": [{"state": state}]},
        }  # fmt: skip

    def list(self, kind: str, namespace: str = "", label_selector: str = "") -> list[Manifest]:
        """All of a kind; of selectors, only those of our own records count."""
        del namespace
        if kind == "Pod":
            return self._made()
        if kind == "Workload":
            return self.workloads
        found = [one for (of, _), one in self.stored.items() if of == kind]
        if label_selector.startswith("gpuassay.io/"):
            marks: list[dict[str, str]] = [one["metadata"].get("labels") or {} for one in found]
            wanted, _, without = label_selector.partition(",!")
            return [
                one for one, m in zip(found, marks, strict=True) if wanted in m and (not without or without not in m)
            ]
        return found

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object."""
        del namespace
        return self.stored.get((kind, name))

    def create(self, one: Manifest) -> Manifest:
        """Store it, unless it is there."""
        key = one["kind"], one["metadata"]["name"]
        if key in self.stored:
            raise ApiRefused(409, "AlreadyExists", f"{key} is there")
        self.stored[key] = one
        if one["kind"] == "Namespace":
            one["metadata"] |= {"uid": f"uid-{next(self._numbers)}", "resourceVersion": str(next(self._numbers))}
        return one

    def patch(self, kind: str, name: str, body: Manifest) -> Manifest:
        """Merge patch of what is no Pod; it is newer then."""
        if (kind, name) not in self.stored:
            raise ApiRefused(404, "NotFound", f"{kind} {name} is not there")
        found = self.stored[kind, name]
        found.update(merged(found, body))
        found["metadata"]["resourceVersion"] = str(next(self._numbers))
        return found

    def delete(self, kind: str, name: str, namespace: str = "", *, grace_seconds: int | None = None) -> None:
        """It is gone at once."""
        del namespace, grace_seconds
        self.pods.pop(name, None) if kind == "Pod" else self.stored.pop((kind, name), None)

    def pages(self, path: str, selector: str | None = None) -> list[Manifest]:
        """Items of a collection."""
        del selector
        plural = path.rpartition("/")[2]
        return self.list(next(kind for kinds in KINDS.values() for kind, name in kinds.items() if name == plural))

    def raw(self, path: str) -> str:
        """Discovery, one object, the lease, or a log."""
        path = path.partition("?")[0]
        if path == "/apis":
            group = {"versions": [{"groupVersion": "apps/v1"}], "preferredVersion": {"groupVersion": "apps/v1"}}
            return json.dumps({"groups": [group]})
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version in KINDS:
            return json.dumps({"resources": [
                {"kind": kind, "name": name, "namespaced": kind not in ("Namespace", "Node"), "verbs": ["list"]}
                for kind, name in KINDS[version].items()
            ]})  # fmt: skip
        if "/leases/" in path:
            return json.dumps({"spec": {"holderIdentity": f"{next(iter(self.pods), 'nobody')}_1"}})
        if path.endswith("/log"):
            return self._log(path.split("/")[-2])
        found = self._at(path)
        if found is None:
            raise ApiRefused(404, "NotFound", path)
        return json.dumps(found)

    def _log(self, pod: str) -> str:
        told = {"msg": "Configuration loaded", "config": self.pods[pod]}
        gates = {"msg": "Loaded feature gates", "featureGates": {"PartialAdmission": True, "MultiKueue": False}}
        last = {"level": "error", "msg": "Unable to load the configuration", "error": "unknown field"}
        return "\n".join(json.dumps(one) for one in ([last] if self.refuses else [told, gates]))

    def _at(self, path: str) -> Manifest | None:
        plural, name = path.split("/")[-2:]
        kinds = [kind for kinds in KINDS.values() for kind, one in kinds.items() if one == plural]
        return self.stored.get((kinds[0], name)) if kinds else None

    def request(self, verb: str, path: str, body: Any = None, **_: Any) -> str:
        """A merge patch, a token, or a dry run: it is answered where a pod runs."""
        if verb == "patch":
            path = path.removesuffix("/status")
            found = self._at(path)
            assert found is not None
            found.update(merged(found, body))
        elif verb == "delete":
            found = self._at(path)
            if found is None or any(found["metadata"][key] != value for key, value in body["preconditions"].items()):
                raise ApiRefused(409 if found else 404, "Conflict" if found else "NotFound", path)
            del self.stored[found["kind"], found["metadata"]["name"]]
        elif path.endswith("/token"):
            return json.dumps({"status": {"token": "t"}})
        elif not self.pods:
            raise ApiRefused(500, "InternalError", "failed calling webhook")
        return "{}"


def marked(objects: Mapping[tuple[str, str], Manifest]) -> list[str]:
    """Names of all that carries a run's label."""
    return [name for (_, name), one in objects.items() if labels.RUN in (one["metadata"].get("labels") or {})]
