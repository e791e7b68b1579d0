"""What we have installed, written on the cluster itself before the first object is made: any machine can remove it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Ref
from gpuassay.waiting import wait

NAMESPACE = "gpuassay"
"""Holds one ConfigMap for each component that is ours; goes with the last of them."""
FORMAT = "2"

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Inventory:
    """One component of ours.

    Attributes:
        component: its name.
        run: that has installed it, or was about to.
        version: of it.
        namespace: where it was put.
        namespace_is_ours: whether that namespace was made for it.
        how: `manifests`, `Helm release NAME`, or both.
        release: Helm's release, "" for manifests.
        refs: what was to be made, in the order of making.
        applied: those of them that we make ourselves; helm makes the rest.
        before: keys of all that the cluster had before (`Ref.key`).
        nodes: labels of the nodes before, by node.
    """

    component: str
    run: str
    version: str
    namespace: str
    namespace_is_ours: bool
    how: str
    release: str
    refs: Sequence[Ref]
    applied: Sequence[Ref]
    before: frozenset[Key]
    nodes: Mapping[str, Mapping[str, str]]


def hold(api: Api, run: str) -> None:
    """Make our namespace, where it is not there yet."""
    meta: Manifest = {"name": NAMESPACE, "labels": {labels.RUN: run, labels.COMPONENT: "inventory"}}
    try:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    except ApiRefused as refused:
        if refused.status != 409:
            raise


def release(api: Api) -> None:
    """Our namespace goes with the last thing that is noted in it."""
    try:
        left = api.list("ConfigMap", NAMESPACE, labels.COMPONENT)
    except ApiRefused as refused:
        if refused.status == 404:
            return
        raise
    if not left:
        api.delete("Namespace", NAMESPACE)
        what = f"namespace {NAMESPACE} to be gone"
        wait(lambda: api.get("Namespace", NAMESPACE), lambda found: found is None, what=what, timeout=60, delay=0.2)


def write(api: Api, one: Inventory) -> None:
    """Take the component for this run.

    Raises:
        ClusterError: another run has it, or is about to.
    """
    hold(api, one.run)
    marks = {labels.RUN: one.run, labels.COMPONENT: one.component}
    try:
        api.create({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": one.component, "namespace": NAMESPACE, "labels": marks},
            "data": {"format": FORMAT, **{name: str(getattr(one, name)) for name in _TEXTS},
                     "namespace_is_ours": str(one.namespace_is_ours).lower(), "nodes": json.dumps(one.nodes)},
            "binaryData": {"refs": _packed([msgspec.to_builtins(ref) for ref in one.refs]),
                           "applied": _packed([msgspec.to_builtins(ref) for ref in one.applied]),
                           "before": _packed(sorted(one.before))},
        })  # fmt: skip
    except ApiRefused as refused:
        if refused.status != 409:
            raise
        other = read(api, one.component)
        raise ClusterError(
            f"{one.component} is being provisioned by run {other.run if other else 'another'}: wait for it, or "
            f"gpuassay remove {one.component}"
        ) from None


_TEXTS = ("component", "run", "version", "namespace", "how", "release")


def read(api: Api, component: str) -> Inventory | None:
    """The inventory of a component; None where it is not ours.

    Raises:
        ClusterError: another version of gpuassay wrote it.
    """
    found = api.get("ConfigMap", component, NAMESPACE)
    return None if found is None else _of(found)


def read_all(api: Api) -> list[Inventory]:
    """All that is ours on a cluster, in the order of installation."""
    try:
        found = api.list("ConfigMap", NAMESPACE, f"{labels.COMPONENT},!{labels.CHANGED}")
    except ApiRefused as refused:
        if refused.status in (403, 404):
            return []
        raise
    return [_of(one) for one in sorted(found, key=lambda one: str(dig(one, "metadata", "creationTimestamp")))]


def forget(api: Api, component: str) -> None:
    """The component is gone: its inventory goes, and our namespace with the last one."""
    api.delete("ConfigMap", component, NAMESPACE)
    release(api)


def _of(found: Manifest) -> Inventory:
    data: dict[str, str] = found["data"]
    if data.get("format") != FORMAT:
        raise ClusterError(
            f"{found['metadata']['name']} was provisioned by another version of gpuassay: remove it with that one"
        )
    refs, applied = (msgspec.convert(_unpacked(found["binaryData"][name]), list[Ref]) for name in ("refs", "applied"))
    before: frozenset[Key] = frozenset(tuple(one) for one in _unpacked(found["binaryData"]["before"]))
    return Inventory(
        **{name: data[name] for name in _TEXTS}, namespace_is_ours=data["namespace_is_ours"] == "true",
        refs=refs, applied=applied, before=before, nodes=json.loads(data["nodes"]),
    )  # fmt: skip


def _packed(content: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode()


def _unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))
