"""Parts of recordings for tests: events, log lines, audit lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta

START = 1_800_000_000_000_000_000
"""ns since the epoch at which test recordings start."""
MS = 1_000_000


def meta(**more: object) -> RecordingMeta:
    """Metadata of a scenario of ten seconds."""
    values: Manifest = {
        "scenario": "kueue.test",
        "token": "t",
        "namespaces": ["ns"],
        "started_ns": START,
        "ended_ns": START + 10_000 * MS,
        **more,
    }
    return RecordingMeta(**values)


def event(ms: float, change: str, kind: str, name: str, rv: int, **more: object) -> Manifest:
    """An event `ms` after the start. `more`: uid, namespace, owner, labels, conditions, spec, status."""
    metadata: Manifest = {
        "name": name,
        "namespace": more.pop("namespace", "ns"),
        "uid": more.pop("uid", f"u-{kind}-{name}"),
        "resourceVersion": str(rv),
        "managedFields": [{}],
    }
    if "owner" in more:
        metadata["ownerReferences"] = [{"kind": "Job", "name": more.pop("owner")}]
    if "labels" in more:
        metadata["labels"] = more.pop("labels")
    conditions = more.pop("conditions", None)
    obj: Manifest = {"kind": kind, "apiVersion": "v1", "metadata": metadata, **more}
    if conditions is not None:
        obj.setdefault("status", {})["conditions"] = conditions
    return {"at": START + int(ms * MS), "type": change, "object": obj}


def conditions(**states: str) -> list[Manifest]:
    """Conditions from `QuotaReserved="True Reason"`."""
    return [
        {"type": kind, "status": state.partition(" ")[0], "reason": state.partition(" ")[2], "message": ""}
        for kind, state in states.items()
    ]


def log(message: str, cycle: int | None = None, seconds: float = 0, **more: object) -> Manifest:
    """A log line of Kueue `seconds` after the start."""
    whole, part = divmod(START + int(seconds * 1e9), 1_000_000_000)
    when = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    line: Manifest = {"level": "Level(-2)", "ts": f"{when}.{part:09d}Z", "logger": "scheduler", "msg": message}
    return {**line, **({} if cycle is None else {"schedulingCycle": cycle}), **more}


def audit(ms: float, verb: str, resource: str, name: str, code: int = 200, sub: str = "") -> Manifest:
    """An audit line received `ms` after the start."""
    whole, micro = divmod(START // 1000 + int(ms * 1000), 1_000_000)
    when = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{micro:06d}Z"
    ref = {"resource": resource, "namespace": "ns", **({"name": name} if name else {})}
    if sub:
        ref["subresource"] = sub
    return {
        "kind": "Event",
        "stage": "ResponseComplete",
        "verb": verb,
        "objectRef": ref,
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": when,
        "stageTimestamp": when,
    }


def sample(label: str, name: str, value: float, source: str = "kueue", **labels: str) -> Manifest:
    """One row of metrics."""
    return {"at": START, "source": source, "label": label, "name": name, "labels": labels, "value": value}


def names(values: Sequence[Manifest]) -> list[str]:
    """Names of objects."""
    return [one["metadata"]["name"] for one in values]
