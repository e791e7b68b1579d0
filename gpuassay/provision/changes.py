"""What a run has changed of a component, noted on the cluster before it is changed: any machine undoes it.

What a component of ours *is* stands in its inventory; this is for what scenarios do to a component for a while: another
configuration, no replicas, labels on nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import inventory
from gpuassay.provision.inventory import NAMESPACE
from gpuassay.provision.objects import Objects, Ref

FORMAT = "1"


class Change(msgspec.Struct, frozen=True):
    """One object that is changed.

    Attributes:
        ref: the object.
        back: JSON merge patch that brings it back.
        subresource: that takes the patch, such as `status`; "" for the object itself.
    """

    ref: Ref
    back: Manifest
    subresource: str = ""


class Pods(msgspec.Struct, frozen=True):
    """Pods that read what was changed at their start only: they are deleted once it is undone, and made again."""

    namespace: str
    selector: str


@dataclass(frozen=True)
class Changed:
    """What a run has changed, or is about to change, of one component.

    Attributes:
        component: its name.
        run: that changes it.
        changes: what, and how it is undone, in the order of undoing.
        restart: pods that have to start anew then.
    """

    component: str
    run: str
    changes: Sequence[Change]
    restart: Sequence[Pods] = ()


def note(api: Api, one: Changed) -> None:
    """Take the component for this run, before anything of it is changed.

    Raises:
        ClusterError: another run has changed it, and has not undone that.
    """
    marks = {labels.RUN: one.run, labels.COMPONENT: one.component, labels.CHANGED: "true"}
    content = {"changes": one.changes, "restart": one.restart}
    try:
        inventory.keep(api, one.run, {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": _name(one.component), "namespace": NAMESPACE, "labels": marks},
            "data": {"format": FORMAT, "component": one.component, "run": one.run}
            | {name: msgspec.json.encode(part).decode() for name, part in content.items()},
        })  # fmt: skip
    except ApiRefused as refused:
        if refused.status != 409:
            raise
        raise ClusterError(taken(one.component, read(api, one.component))) from None


def taken(component: str, by: Changed | None) -> str:
    """For people: who has changed a component, and how it is undone."""
    run = by.run if by else "another"
    return (
        f"{component} is changed by run {run}: wait until that run is over; where it was killed, "
        f"gpuassay remove {by.run if by else component} undoes what it has changed"
    )


def read(api: Api, component: str) -> Changed | None:
    """What is changed of a component; None where nothing is.

    Raises:
        ClusterError: another version of gpuassay wrote it.
    """
    found = api.get("ConfigMap", _name(component), NAMESPACE)
    return None if found is None else _of(found)


def read_all(api: Api) -> list[Changed]:
    """Everything that is changed on a cluster."""
    try:
        found = api.list("ConfigMap", NAMESPACE, labels.CHANGED)
    except ApiRefused as refused:
        if refused.status in (403, 404):
            return []
        raise
    return [_of(one) for one in found]


def undo(objects: Objects, one: Changed) -> None:
    """Bring everything back, start the pods anew that have to, and forget it; what is gone is left alone."""
    for change in one.changes:
        objects.patch(change.ref, change.back, change.subresource)
    restart(objects.api, one.restart)
    objects.api.delete("ConfigMap", _name(one.component), NAMESPACE)
    inventory.release(objects.api)


def restart(api: Api, pods: Iterable[Pods], grace_seconds: int | None = None) -> None:
    """Delete pods, for their controllers to make them again."""
    for some in pods:
        for one in api.list("Pod", some.namespace, some.selector):
            api.delete("Pod", str(dig(one, "metadata", "name")), some.namespace, grace_seconds=grace_seconds)


def _name(component: str) -> str:
    return f"{component}-changed"


def _of(found: Manifest) -> Changed:
    data: dict[str, str] = found["data"]
    if data.get("format") != FORMAT:
        raise ClusterError(
            f"{data.get('component', found['metadata']['name'])} was changed by another version of gpuassay: "
            "undo that with that one"
        )
    changes = msgspec.json.decode(data["changes"], type=list[Change])
    return Changed(data["component"], data["run"], changes, msgspec.json.decode(data["restart"], type=list[Pods]))
