"""An HTTPRoute that leads a Gateway of the user's to the InferencePool that we have installed.

Source: https://gateway-api.sigs.k8s.io (HTTPRoute, its status by parent) and Gateway API Inference Extension (a pool as
backend of a route).
"""

from __future__ import annotations

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref

GROUP = "gateway.networking.k8s.io"
VERSION = f"{GROUP}/v1"
POOL_GROUP = "inference.networking.k8s.io"
NEEDED = ("Accepted", "ResolvedRefs")
"""Conditions that a Gateway's controller writes once it sends requests to the pool."""


def route(gateway: str, name: str, namespace: str) -> Manifest:
    """The route of a Gateway `NAMESPACE/NAME` to the pool `name`, for every path.

    Raises:
        ClusterError: the Gateway is not named so.
    """
    place, slash, called = gateway.partition("/")
    if not (place and slash and called) or "/" in called:
        raise ClusterError(f"gateway {gateway!r} in values of llmd: give NAMESPACE/NAME of a Gateway")
    pool = {"group": POOL_GROUP, "kind": "InferencePool", "name": name}
    return {
        "apiVersion": VERSION, "kind": "HTTPRoute", "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"name": called, "namespace": place}], "rules": [{"backendRefs": [pool]}]},
    }  # fmt: skip


def problem(api: Api, name: str, namespace: str) -> str:
    """Why the user's Gateway does not lead to the pool, "" where it does or no route is there."""
    objects = Objects(api)
    try:
        found = objects.get(Ref(VERSION, "HTTPRoute", namespace, name))
        if found is None:
            return ""
        (wanted,) = dig(found, "spec", "parentRefs")
        place, called = wanted["namespace"], wanted["name"]
        gateway = objects.get(Ref(VERSION, "Gateway", place, called))
    except ApiRefused as refused:
        return refused.message
    if gateway is None:
        return f"there is no Gateway {place}/{called}"
    about = f"Gateway {place}/{called} of class {dig(gateway, 'spec', 'gatewayClassName', default='unknown')}"
    parents: list[Manifest] = dig(found, "status", "parents", default=[])
    told = [one for one in parents if dig(one, "parentRef", "name") == called]
    if not told:
        return f"{about} says nothing of HTTPRoute {namespace}/{name}: does its controller run, and know routes?"
    for one in told:
        conditions = {str(each["type"]): each for each in one.get("conditions") or ()}
        for kind in NEEDED:
            held = conditions.get(kind, {})
            if held.get("status") != "True":
                why = " ".join(str(held.get("message") or held.get("reason") or "it does not say why").split())
                return f"{about} has not {kind} for HTTPRoute {namespace}/{name}: {why}"
    return ""
