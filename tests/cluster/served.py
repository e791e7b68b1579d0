"""A stand-in for an API server that serves given objects; nothing is stored. Discovery, lists and dry runs only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest

OUTSIDE = (
    "Node", "Namespace", "ClusterPolicy", "RuntimeClass", "ResourceSlice", "CustomResourceDefinition", "ClusterRole",
    "ClusterRoleBinding", "MutatingWebhookConfiguration",
)  # fmt: skip
"""Kinds without namespaces."""
ALWAYS = (("v1", "Node"), ("v1", "Pod"), ("v1", "Namespace"), ("apps/v1", "Deployment"), ("apps/v1", "DaemonSet"))


class Served:
    """Answers as an API server with these objects does."""

    def __init__(self, objects: Sequence[Manifest], answers: Mapping[str, Manifest] | None = None) -> None:
        """`answers`: to what is created with dry-run, by path."""
        self.objects, self.answers = objects, answers or {}
        keys = [*ALWAYS, *((one["apiVersion"], one["kind"]) for one in objects)]
        self.kinds = {(version, f"{kind.lower()}s".replace("ys", "ies")): kind for version, kind in keys}

    def list(self, kind: str, namespace: str = "", label_selector: str = "") -> list[Manifest]:
        """All of a kind."""
        del namespace, label_selector
        return [one for one in self.objects if one["kind"] == kind]

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object."""
        del namespace
        return next((one for one in self.list(kind) if one["metadata"]["name"] == name), None)

    def pages(self, path: str, label_selector: str | None = None) -> Sequence[Manifest]:
        """All items of a collection."""
        del label_selector
        return self._answer(path)["items"]

    def raw(self, path: str) -> str:
        """Discovery, or a list."""
        return json.dumps(self._answer(path))

    def request(self, verb: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> str:
        """A list, or a dry run."""
        del body, query
        if verb == "post" and path in self.answers:
            return json.dumps(self.answers[path])
        return json.dumps(self._answer(path))

    def _answer(self, path: str) -> Manifest:
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}
        if path == "/apis":
            groups = dict.fromkeys(version for version, _ in self.kinds if "/" in version)
            return {"groups": [_group(one) for one in groups]}
        version, _, plural = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")
        version, _, namespace = version.partition("/namespaces/")
        if (kind := self.kinds.get((version, plural))) is not None:
            found = [one for one in self.objects if (one["apiVersion"], one["kind"]) == (version, kind)]
            return {"items": [one for one in found if not namespace or one["metadata"].get("namespace") == namespace]}
        resources = [
            {"kind": kind, "name": name, "namespaced": kind not in OUTSIDE, "verbs": ["list"]}
            for (there, name), kind in self.kinds.items()
            if there == f"{version}/{plural}".strip("/")
        ]
        if not resources:
            raise ApiRefused(404, "NotFound", f"{path} is not served")
        return {"resources": resources}


def _group(version: str) -> Manifest:
    return {"versions": [{"groupVersion": version}], "preferredVersion": {"groupVersion": version}}


def served(*objects: Manifest, answers: Mapping[str, Manifest] | None = None) -> Api:
    """An API server with these objects."""
    return cast("Api", Served(objects, answers))


def made(version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> Manifest:
    """An object; `labels` go into its metadata."""
    meta: Manifest = {"name": name, "labels": fields.pop("labels", {})}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}
