"""Of somebody's objects what judges look at; what could be secret, such as environment variables, is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.objects import COMPONENT, FOUND_BY_NFD, GPU, PREFIX

_METADATA = ("name", "namespace", "uid", "generation", "labels", "deletionTimestamp", "creationTimestamp")
_SECRET = frozenset({"env", "args", "command", "volumes", "containers", "initContainers", "imagePullSecrets"})
_OWNER = ("kind", "name", "controller")
_WAITING = ("reason",)
_TERMINATED = ("reason", "exitCode")
WATCHED = (f"{GPU}-driver-upgrade-state", f"{PREFIX}mig.config", f"{PREFIX}mig.config.state", f"{GPU}.deploy.")
"""Labels, or beginnings of labels, of which it counts when they were written."""


def kept(kind: str, obj: Manifest) -> Manifest:
    """An object of that kind as it is recorded."""
    metadata: Manifest = obj.get("metadata") or {}
    found: Manifest = {"kind": kind, "metadata": {key: metadata[key] for key in _METADATA if metadata.get(key)}}
    if owners := metadata.get("ownerReferences"):
        found["metadata"]["ownerReferences"] = [_of(one, _OWNER) for one in owners]
    return found | _REST[kind](obj)


def _of(obj: Manifest, keys: tuple[str, ...]) -> Manifest:
    return {key: obj[key] for key in keys if obj.get(key) is not None}


def _configuration(obj: Manifest) -> Manifest:
    return {"spec": _without(obj.get("spec") or {}), "status": obj.get("status") or {}}


def _without(value: Any) -> Any:
    """The value without what may hold secrets, wherever it stands in it."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: _without(inner) for key, inner in members.items() if key not in _SECRET}
    return [_without(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def _daemonset(obj: Manifest) -> Manifest:
    chosen = dig(obj, "spec", "template", "spec", "nodeSelector", default={})
    spec = _of(obj.get("spec") or {}, ("selector", "updateStrategy"))
    return {"spec": spec | {"template": {"spec": {"nodeSelector": chosen}}}, "status": obj.get("status") or {}}


def _pod(obj: Manifest) -> Manifest:
    status: Manifest = obj.get("status") or {}
    told = _of(status, ("phase", "reason", "conditions"))
    for key in ("containerStatuses", "initContainerStatuses"):
        if key in status:
            told[key] = [_container(one) for one in status[key]]
    return {"spec": _of(obj.get("spec") or {}, ("nodeName", "affinity")), "status": told}


def _container(told: Manifest) -> Manifest:
    """Without messages: a container's own last words may stand there."""
    found = _of(told, ("name", "ready", "restartCount"))
    for key in ("state", "lastState"):
        state: Manifest = told.get(key) or {}
        found[key] = {
            "waiting": _of(state.get("waiting") or {}, _WAITING),
            "terminated": _of(state.get("terminated") or {}, _TERMINATED),
            "running": dict(state.get("running") or {}),
        }
        found[key] = {name: one for name, one in found[key].items() if one}
    return found


def _node(obj: Manifest) -> Manifest:
    status = _of(obj.get("status") or {}, ("capacity", "allocatable", "conditions"))
    return {"spec": _of(obj.get("spec") or {}, ("unschedulable", "taints")), "status": status}


def _slice(obj: Manifest) -> Manifest:
    """A ResourceSlice: of its devices the type and the model, as every version of the API has them."""
    spec: Manifest = obj.get("spec") or {}
    there: list[Manifest] = spec.get("devices") or []
    devices = [
        {"name": one.get("name"), "attributes": _attributes(one.get("attributes") or dig(one, "basic", "attributes"))}
        for one in there
    ]
    return {"spec": _of(spec, ("driver", "nodeName", "pool")) | {"devices": devices}}


def _attributes(told: Manifest | None) -> Manifest:
    return {key: value for key, value in (told or {}).items() if key.rpartition("/")[2] in ("type", "productName")}


_REST: Mapping[str, Callable[[Manifest], Manifest]] = {
    "ClusterPolicy": _configuration,
    "NVIDIADriver": _configuration,
    "GPUCluster": _configuration,
    "DaemonSet": _daemonset,
    "ControllerRevision": lambda obj: _of(obj, ("revision",)),
    "Pod": _pod,
    "RuntimeClass": lambda obj: _of(obj, ("handler",)),
    "Node": _node,
    "ResourceSlice": _slice,
}


def has_gpu(node: Manifest) -> bool:
    """Whether anything says that a node has GPUs: labels of the operator or of NFD, or resources."""
    labels: dict[str, str] = dig(node, "metadata", "labels", default={})
    capacity: dict[str, str] = dig(node, "status", "capacity", default={})
    return any(key.startswith(PREFIX) or key in FOUND_BY_NFD for key in labels) or any(
        key.startswith(PREFIX) for key in capacity
    )


def is_operand(daemonset: Manifest) -> bool:
    """Whether a DaemonSet may be an operand, by owner, component, label or the nodes that it selects."""
    labels: dict[str, str] = dig(daemonset, "metadata", "labels", default={})
    owners: list[Manifest] = dig(daemonset, "metadata", "ownerReferences", default=[])
    chosen: dict[str, str] = dig(daemonset, "spec", "template", "spec", "nodeSelector", default={})
    return (
        any(str(one.get("apiVersion", "")).startswith(PREFIX) for one in owners)
        or labels.get(COMPONENT, "").startswith("nvidia-")
        or labels.get("app", "").startswith(("nvidia-", "gpu-feature-discovery"))
        or any(key.startswith(f"{GPU}.deploy.") for key in chosen)
    )


def since(node: Manifest, now: datetime | None = None) -> dict[str, float]:
    """Seconds since each watched label of a node was last written, by what the API keeps about writers."""
    moment = now or datetime.now(UTC)
    found: dict[str, float] = {}
    for one in dig(node, "metadata", "managedFields", default=[]):
        fields: Manifest = dig(one, "fieldsV1", "f:metadata", "f:labels", default={})
        mine = [key.removeprefix("f:") for key in fields if key.removeprefix("f:").startswith(WATCHED)]
        if mine and one.get("time"):
            age = (moment - datetime.fromisoformat(str(one["time"]))).total_seconds()
            found |= {key: min(age, found.get(key, age)) for key in mine}
    return found
