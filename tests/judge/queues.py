"""Recordings of a queue made by hand: asked Workloads, their states and the scheduler's decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import event, log, meta

NAMESPACE = "ns"


def stamp(second: int) -> str:
    """An API time stamp `second` seconds after some origin."""
    return datetime.fromtimestamp(1_800_000_000 + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class One(NamedTuple):
    """A Workload: what was asked (`priority`), what is stored (`stored`), when it was made (s), its UID, its GPUs."""

    name: str
    uid: str = ""
    priority: int = 0
    created: int = 0
    gpus: int = 1
    stored: int | None = None
    reserved: int | None = None


def state(one: One, **conditions: str) -> Manifest:
    """The object with conditions as `QuotaReserved="True Reason 5"` (the number: second of its last transition)."""
    entries: list[Manifest] = []
    for kind, text in conditions.items():
        status, reason, second = [*text.split(), "", "0"][:3] if " " in text else (text, "", "0")
        entries.append(
            {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": stamp(int(second))}
        )
    return {"spec": {"priority": one.priority if one.stored is None else one.stored}, "status": {"conditions": entries}}


def shown(ms: float, one: One, rv: int, **conditions: str) -> Manifest:
    """A watch event of the Workload."""
    made = event(ms, "ADDED" if rv == 1 else "MODIFIED", "Workload", one.name, rv, uid=one.uid or f"u-{one.name}")
    made["object"]["metadata"]["creationTimestamp"] = stamp(one.created)
    made["object"] |= state(one, **conditions)
    return made


def asked(one: One) -> Manifest:
    """What the scenario asked for."""
    pods = [kueue.pod_set(requests={GPU: one.gpus})]
    return kueue.workload(one.name, NAMESPACE, "queue", pods, priority=one.priority)


def decided(names: Sequence[str], *, namespaces: Mapping[str, str] | None = None) -> list[Manifest]:
    """Log lines of decisions, one cycle and one second each."""
    return [
        log(
            "Workload assumed in the cache", i + 1, i + 1,
            workload={"name": name, "namespace": (namespaces or {}).get(name, NAMESPACE)},
            clusterQueue={"name": "queue"},
        )
        for i, name in enumerate(names)
    ]  # fmt: skip


def queue(
    ones: Sequence[One],
    order: Sequence[str],
    *,
    events: Sequence[Manifest] = (),
    notes: Mapping[str, object] | None = None,
    namespaces: Mapping[str, str] | None = None,
) -> KueueRecording:
    """A recording of `ones`, each seen once, decided on in `order`; `events` come after."""
    return KueueRecording.of_parts(
        meta(notes=dict(notes or {})),
        asked=[asked(one) for one in ones],
        events=[*(shown(10, one, 1) for one in ones), *events],
        log=decided(order, namespaces=namespaces),
    )
