"""Objects of any kind that a cluster serves, found by discovery; for what others' manifests and charts bring."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest, dig

RESTLESS = frozenset({"Event", "Lease", "Endpoints", "EndpointSlice", "PodMetrics", "NodeMetrics", "ComponentStatus"})
"""Kinds whose objects come and go by themselves on every cluster."""


@dataclass(frozen=True, order=True)
class Ref:
    """One object by its API version, kind, namespace ("" outside of any) and name."""

    version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest, namespace: str = "") -> Ref:
        """The object that a manifest describes; `namespace` where it says none."""
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], str(meta.get("namespace") or namespace), str(meta["name"]))

    def __str__(self) -> str:
        """As people write it, such as `Deployment kueue-system/kueue-controller-manager`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Equal for one object in all versions of its API."""
        group = self.version.rpartition("/")[0]
        return group, self.kind, self.namespace, self.name


@dataclass(frozen=True)
class Kind:
    """A kind that a cluster serves."""

    version: str
    name: str
    plural: str
    namespaced: bool
    listable: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """URL path of a collection, or of an object."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        middle = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


class Objects:
    """Reads and changes objects of any kind; what is served is looked up once (`Objects(api)` anew after new CRDs)."""

    def __init__(self, api: Api) -> None:
        """Nothing is asked yet."""
        self.api = api

    @cached_property
    def broken(self) -> list[str]:
        """Group versions that are announced and not served: an aggregated API whose server is gone."""
        _ = self.kinds
        return self._broken

    @cached_property
    def kinds(self) -> Mapping[tuple[str, str], Kind]:
        """Every kind in every version, by (API version, kind)."""
        self._broken: list[str] = []
        groups: list[Manifest] = json.loads(self.api.raw("/apis"))["groups"]
        versions = ["v1", *(str(one["groupVersion"]) for group in groups for one in group["versions"])]
        self.preferred = {"v1", *(str(group["preferredVersion"]["groupVersion"]) for group in groups)}
        found = side_by_side(self._served, versions)
        return {(one.version, one.name): one for some in found for one in some}

    def _served(self, version: str) -> list[Kind]:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            told: Manifest = json.loads(self.api.raw(root))
        except ApiRefused:
            self._broken.append(version)
            return []
        resources: list[Manifest] = told["resources"]
        return [
            Kind(version, str(one["kind"]), str(one["name"]), bool(one["namespaced"]), "list" in one["verbs"])
            for one in resources
            if "/" not in one["name"]
        ]

    def chosen(self, kind: Kind) -> bool:
        """Whether objects of a kind are looked at in this version: the preferred one, where that has the kind."""
        if kind.version in self.preferred:
            return True
        group = kind.version.rpartition("/")[0]
        alike = [
            version for version, name in self.kinds
            if name == kind.name and version.rpartition("/")[0] == group
        ]  # fmt: skip
        return kind.version == alike[0] and self.preferred.isdisjoint(alike)

    def kind(self, ref: Ref) -> Kind | None:
        """Its kind; None where the cluster serves no such."""
        return self.kinds.get((ref.version, ref.kind))

    def get(self, ref: Ref) -> Manifest | None:
        """The object, or None."""
        kind = self.kind(ref)
        if kind is None:
            return None
        try:
            return json.loads(self.api.raw(kind.path(ref.namespace, ref.name)))
        except ApiRefused as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, kind: Kind, selector: str = "") -> list[Manifest]:
        """All of a kind; none where it is not ours to list."""
        try:
            items = self.api.pages(kind.path(), selector or None)
        except ApiRefused as refused:
            if refused.status in (403, 404, 405):
                return []
            raise
        return [{"apiVersion": kind.version, "kind": kind.name} | one for one in items]

    def patch(self, ref: Ref, body: Any, subresource: str = "") -> None:
        """JSON merge patch of an object, or of a subresource of it; what is gone is left alone."""
        kind = self.kind(ref)
        if kind is None:
            return
        try:
            path = kind.path(ref.namespace, ref.name) + (f"/{subresource}" if subresource else "")
            self.api.request("patch", path, body, content_type="application/merge-patch+json")
        except ApiRefused as refused:
            if refused.status != 404:
                raise

    def patch_json(self, ref: Ref, changes: Sequence[Manifest]) -> None:
        """JSON patch (RFC 6902) of an object that exists."""
        kind = self.kinds[(ref.version, ref.kind)]
        path = kind.path(ref.namespace, ref.name)
        self.api.request("patch", path, list(changes), content_type="application/json-patch+json")

    def apply(self, ref: Ref, manifest: Manifest) -> None:
        """Server-side apply as field manager `gpuassay`."""
        kind = self.kinds[(ref.version, ref.kind)]
        query = {"fieldManager": "gpuassay", "force": "true"}
        body = json.dumps(manifest)  # JSON is YAML
        path = kind.path(ref.namespace, ref.name)
        self.api.request("patch", path, body, content_type="application/apply-patch+yaml", query=query)

    def delete(self, ref: Ref) -> None:
        """Delete; what is gone is fine."""
        kind = self.kind(ref)
        if kind is None:
            return
        try:
            self.api.request("delete", kind.path(ref.namespace, ref.name), query={"propagationPolicy": "Background"})
        except ApiRefused as refused:
            if refused.status != 404:
                raise

    def there(self, refs: Iterable[Ref]) -> list[Ref]:
        """Those that still exist, in order."""
        known = list(refs)
        return [ref for ref, found in zip(known, side_by_side(self.get, known), strict=True) if found is not None]

    def labelled(self, selector: str) -> list[Ref]:
        """Everything that carries a label."""
        kinds = [one for one in self.kinds.values() if one.listable and self.chosen(one)]
        found = side_by_side(lambda kind: self.list(kind, selector), kinds)
        return sorted(Ref.of(one) for some in found for one in some)

    def snapshot(self) -> dict[tuple[str, str, str, str], Manifest]:
        """Every object by `Ref.key`, less what comes and goes by itself: its labels, and the taints of nodes."""
        kinds = [
            one for one in self.kinds.values()
            if one.listable and self.chosen(one) and one.name not in RESTLESS
        ]  # fmt: skip
        found = side_by_side(self.list, kinds)
        return {Ref.of(one).key: _kept(one) for some in found for one in some if not _follows(one)}


def _follows(one: Manifest) -> bool:
    """Whether the API server makes and deletes it by itself, a little after the definition that it stands for."""
    return "kube-aggregator.kubernetes.io/automanaged" in (one["metadata"].get("labels") or {})


def _kept(one: Manifest) -> Manifest:
    meta = one["metadata"]
    kept: Manifest = {"labels": meta.get("labels") or {}, "owned": bool(meta.get("ownerReferences"))}
    if one["kind"] == "Node":
        kept["taints"] = dig(one, "spec", "taints", default=[])
    return kept
