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
GONE_SECONDS = 60.0
"""How long that namespace may take to be gone."""

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


def keep(api: Api, run: str, noted: Manifest) -> None:
    """Note something in our namespace, also while another run is about to take that away.

    Whoever notes something touches the namespace afterwards; whoever deletes it does so only as it was before looking
    whether anything is noted there (`release`). So one of the two sees the other.

    Raises:
        ApiRefused: with status 409 where it is noted already.
    """

    def done() -> bool:
        try:
            _make(api, run)
            api.create(noted)
            touched = api.patch("Namespace", NAMESPACE, {"metadata": {"annotations": {labels.RUN: run}}})
        except ApiRefused as refused:
            if refused.status == 404 or (refused.status == 403 and "terminat" in refused.message):
                _await_gone(api)
                return False
            raise
        ending = dig(touched, "metadata", "deletionTimestamp")
        if ending:
            _await_gone(api)
        return not ending

    wait(done, bool, what=f"namespace {NAMESPACE} to be ours", timeout=GONE_SECONDS, delay=0.2)


def _make(api: Api, run: str) -> None:
    meta: Manifest = {"name": NAMESPACE, "labels": {labels.RUN: run, labels.COMPONENT: "inventory"}}
    try:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    except ApiRefused as refused:
        if refused.status != 409:
            raise


def _await_gone(api: Api) -> None:
    """Until our namespace, which is being deleted, is gone; another may have made it anew by then."""

    def ending() -> bool:
        return bool(dig(api.get("Namespace", NAMESPACE) or {}, "metadata", "deletionTimestamp"))

    what = f"namespace {NAMESPACE} to be gone"
    wait(ending, lambda now: not now, what=what, timeout=GONE_SECONDS, delay=0.2)


def release(api: Api) -> None:
    """Our namespace goes with the last thing that is noted in it."""
    found = api.get("Namespace", NAMESPACE)
    if found is None or api.list("ConfigMap", NAMESPACE, labels.COMPONENT):
        return
    meta: Manifest = found["metadata"]
    as_seen = {"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
    try:
        api.request("delete", f"/api/v1/namespaces/{NAMESPACE}", as_seen)
    except ApiRefused as refused:
        if refused.status in (404, 409):  # gone, or another run has just noted something there
            return
        raise
    _await_gone(api)


def write(api: Api, one: Inventory) -> None:
    """Take the component for this run.

    Raises:
        ClusterError: another run has it, or is about to.
    """
    try:
        keep(api, one.run, _body(one))
    except ApiRefused as refused:
        if refused.status != 409:
            raise
        other = read(api, one.component)
        if other and other.run == one.run:
            return  # asked for twice, as the answer to the first got lost
        raise ClusterError(
            f"{one.component} is being provisioned by run {other.run if other else 'another'}: wait for it, or "
            f"gpuassay remove {one.component}"
        ) from None


def amend(api: Api, one: Inventory) -> None:
    """Write anew what is noted of a component that is ours."""
    body = _body(one)
    api.patch("ConfigMap", one.component, {part: body[part] for part in ("data", "binaryData")}, namespace=NAMESPACE)


def _body(one: Inventory) -> Manifest:
    marks = {labels.RUN: one.run, labels.COMPONENT: one.component}
    return {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": one.component, "namespace": NAMESPACE, "labels": marks},
        "data": {"format": FORMAT, **{name: str(getattr(one, name)) for name in _TEXTS},
                 "namespace_is_ours": str(one.namespace_is_ours).lower(), "nodes": json.dumps(one.nodes)},
        "binaryData": {"refs": _packed([msgspec.to_builtins(ref) for ref in one.refs]),
                       "applied": _packed([msgspec.to_builtins(ref) for ref in one.applied]),
                       "before": _packed(sorted(one.before))},
    }  # fmt: skip


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
