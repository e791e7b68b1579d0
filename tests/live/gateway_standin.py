"""A stand-in for a Gateway's controller. Nothing listens: it writes what a controller says of a route, and no more.

Source: Gateway API v1.6 (status of HTTPRoutes by parent, Accepted and ResolvedRefs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.llmd.provision_route import POOL_GROUP, VERSION

CLASS = "standin"
POOL_VERSION = f"{POOL_GROUP}/v1"


def gateway(name: str, namespace: str, kind: str = CLASS) -> Manifest:
    """A Gateway of the stand-in's class, or another, with one listener for routes of all namespaces."""
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return {
        "apiVersion": VERSION, "kind": "Gateway", "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": kind, "listeners": [listener]},
    }  # fmt: skip


def looked(api: Api, known: bool = True) -> None:
    """One look at all routes; `known`: whether the controller knows InferencePools as backends."""
    objects = Objects(api)
    for route in objects.list(objects.kinds[(VERSION, "HTTPRoute")]):
        space = route["metadata"]["namespace"]
        parents = [one for one in dig(route, "spec", "parentRefs") if _is_ours(objects, one, space)]
        backends = [one for rule in dig(route, "spec", "rules") for one in rule["backendRefs"]]
        found = known and all(_is_there(objects, one, space) for one in backends)
        said = [_parent(one, route["metadata"]["generation"], found) for one in parents]
        if said != [_without_time(one) for one in dig(route, "status", "parents", default=[])]:
            stamped = [_at_no_time(one) for one in said]
            objects.patch(Ref.of(route), {"status": {"parents": stamped}}, subresource="status")


def _is_ours(objects: Objects, parent: Mapping[str, Any], space: str) -> bool:
    found = objects.get(Ref(VERSION, "Gateway", parent.get("namespace", space), parent["name"]))
    return dig(found or {}, "spec", "gatewayClassName", default="") == CLASS


def _is_there(objects: Objects, backend: Mapping[str, Any], space: str) -> bool:
    return objects.get(Ref(POOL_VERSION, "InferencePool", space, backend["name"])) is not None


def _parent(parent: Mapping[str, Any], generation: int, found: bool) -> Manifest:
    reason = "ResolvedRefs" if found else "InvalidKind"
    conditions = [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""},
        {"type": "ResolvedRefs", "status": str(found), "reason": reason,
         "message": "" if found else "InferencePool is no kind of backend here"},
    ]  # fmt: skip
    return {
        "controllerName": "gpuassay.io/standin", "parentRef": dict(parent),
        "conditions": [one | {"observedGeneration": generation} for one in conditions],
    }  # fmt: skip


def _at_no_time(parent: Manifest) -> Manifest:
    time = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    return parent | {"conditions": [one | time for one in parent["conditions"]]}


def _without_time(parent: Manifest) -> Manifest:
    ref = {key: value for key, value in parent["parentRef"].items() if key not in ("group", "kind")}
    held = [{key: value for key, value in one.items() if key != "lastTransitionTime"} for one in parent["conditions"]]
    return parent | {"parentRef": ref, "conditions": held}
