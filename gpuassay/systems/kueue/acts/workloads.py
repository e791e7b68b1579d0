"""Workloads made by hand: the queueing path without Jobs and pods, with the scenario in the job controller's part.

Kueue decides on Workloads; a job integration only makes them, stops what was evicted and reports what has finished.
A scenario that is not about an integration plays that part itself: it costs a tenth, and the scenario says when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, condition, dig, is_true, name_of
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.workloads import core

ATTEMPTS = 50
"""Writes of a status before another writer is taken to be faster for ever."""


def _manifest(
    lab: KueueLab,
    name: str,
    queue: Queue | str,
    gpus: int = 1,
    count: int = 1,
    namespace: str | None = None,
    distinct: bool = False,
    **more: Any,
) -> Manifest:
    local = queue.local if isinstance(queue, Queue) else queue
    pod = {"tolerations": kueue.shape(name)} if distinct else None
    pods = [kueue.pod_set(count=count, requests={labels.GPU: gpus}, pod=pod)]
    return kueue.workload(name, namespace or lab.namespace, local, pods, **more)


def workload(lab: KueueLab, name: str, queue: Queue | str, **options: Any) -> str:
    """Create a Workload of one pod set; returns its name.

    Args:
        lab: the scenario's lab.
        name: of the Workload.
        queue: LocalQueue.
        **options: `gpus` per pod and `count` of pods (1 each), `namespace`, `distinct` (a shape of its own, see
            `kueue.shape`), `kueue.workload` arguments.
    """
    lab.create(_manifest(lab, name, queue, **options))
    return name


def workloads(
    lab: KueueLab,
    names: Iterable[str],
    queue: Queue | str,
    *,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> list[str]:
    """Create many Workloads at once, in no defined order; `each` holds further arguments by name."""
    listed = list(names)
    lab.create_all([_manifest(lab, name, queue, **{**options, **((each or {}).get(name) or {})}) for name in listed])
    return listed


def _set(obj: Manifest, kind: str, status: str, reason: str, message: str) -> None:
    """Set a condition as apimachinery does: the time moves only with the status."""
    conditions: list[Manifest] = obj.setdefault("status", {}).setdefault("conditions", [])
    old = condition(obj, kind)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    moved = old is None or old["status"] != status
    entry: Manifest = {"type": kind, "status": status, "reason": reason, "message": message}
    entry["lastTransitionTime"] = now if moved or old is None else old["lastTransitionTime"]
    obj["status"]["conditions"] = [one for one in conditions if one["type"] != kind] + [entry]


def _write(lab: KueueLab, name: str, edit: Callable[[Manifest], None]) -> None:
    """Change a Workload's status as a controller does: read, edit, write, again where another was faster."""
    for attempt in range(ATTEMPTS):
        found = lab.api.get("Workload", name, lab.namespace)
        if found is None:
            raise LookupError(f"no Workload {name} in {lab.namespace}")
        edit(found)
        try:
            lab.api.replace(found, subresource="status")
        except ApiRefused as refused:
            if refused.status != 409 or attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def finish(lab: KueueLab, *names: str) -> None:
    """Report that the jobs of these Workloads have succeeded."""

    def edit(obj: Manifest) -> None:
        _set(obj, "Finished", "True", "Succeeded", "finished by the scenario")

    def end(name: str) -> None:
        _write(lab, name, edit)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(end, names))


def finish_all(lab: KueueLab) -> None:
    """Finish every Workload that holds quota: leaves a big queue without anything to do."""
    finish(lab, *(name_of(one) for one in lab.objects("Workload") if is_true(one, "QuotaReserved")))


def end_eviction(lab: KueueLab, *names: str) -> None:
    """Report that the pods of these evicted Workloads are gone: they give their quota back and are queued again."""

    def edit(obj: Manifest) -> None:
        why = str(dig(condition(obj, "Evicted") or {}, "reason", default="Evicted"))
        _set(obj, "Requeued", "True", why, "requeued by the scenario")
        _set(obj, "QuotaReserved", "False", "Pending", "its pods are gone")
        _set(obj, "Admitted", "False", "NoReservation", "The workload has no reservation")
        obj["status"]["admission"] = None

    for name in names:
        _write(lab, name, edit)


def back_off(lab: KueueLab, seconds: float, *names: str) -> None:
    """Take quota from these Workloads as Kueue and a job do whose pods were not ready in time: tried again later.

    `seconds`: until then (`status.requeueState.requeueAt`).
    """
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def edit(obj: Manifest) -> None:
        _set(obj, "Evicted", "True", "PodsReadyTimeout", notes.PLAYED)
        _set(obj, "QuotaReserved", "False", "Pending", "its pods are gone")
        _set(obj, "Admitted", "False", "NoReservation", "The workload has no reservation")
        obj["status"]["admission"] = None
        obj["status"]["requeueState"] = {"count": 1, "requeueAt": until}

    for name in names:
        _write(lab, name, edit)


def evicted(lab: KueueLab) -> list[str]:
    """Names of Workloads that are evicted and still hold their quota, in name order."""
    living = lab.objects("Workload")
    return [name_of(one) for one in living if is_true(one, "Evicted") and is_true(one, "QuotaReserved")]


def observe_evicted(lab: KueueLab, count: int, *, timeout: float | None = None) -> list[str]:
    """Give Kueue time to evict `count` Workloads; returns those that it has evicted."""
    lab.observe(lambda: len(evicted(lab)) >= count, f"{count} evicted", timeout=timeout)
    return evicted(lab)


def pending(lab: KueueLab, queue: Queue | str) -> int:
    """How many pending workloads the ClusterQueue's status counts."""
    found = lab.get("ClusterQueue", queue if isinstance(queue, str) else queue.name)
    return int(dig(found, "status", "pendingWorkloads", default=0))


def observe_pending(lab: KueueLab, queue: Queue | str, count: int, *, timeout: float | None = None) -> bool:
    """Give a ClusterQueue time to count exactly `count` pending workloads."""
    name = queue if isinstance(queue, str) else queue.name
    return lab.observe(lambda: pending(lab, name) == count, f"{count} pending in {name}", timeout=timeout)


def weighed(lab: KueueLab, *owners: str) -> bool:
    """Whether the scheduler has looked at these workloads and found that they have to wait."""

    def waits(owner: str) -> bool:
        found = lab.workload_of(owner)
        told = condition(found, "QuotaReserved") if found else None
        return told is not None and told["status"] == "False"

    return all(waits(owner) for owner in owners)


def observe_weighed(lab: KueueLab, *owners: str, timeout: float | None = None) -> bool:
    """Give the scheduler time to look at these workloads and to leave them waiting."""
    return lab.observe(lambda: weighed(lab, *owners), f"{', '.join(owners)} weighed", timeout=timeout)


def next_second(lab: KueueLab) -> None:
    """Wait until what is created now is younger, in the API's whole seconds, than all that was created before."""
    second = int(time.time())
    lab.until(lambda: int(time.time()) > second, "the next second", timeout=5)


def namespace(lab: KueueLab, base: str, marks: Mapping[str, str] | None = None) -> str:
    """Create a further namespace of this scenario with labels `marks`; returns its name."""
    name = f"ga-{base}-{lab.token}"
    lab.view.register(lab.token, [name])
    lab.namespaces.append(name)
    metadata: Manifest = {"name": name, "labels": dict(marks or {})}
    lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return name


def unbound(name: str, lab: KueueLab, queue: Queue, *, distinct: bool = False, **options: Any) -> Manifest:
    """A Job whose pod finds no node: queued, admitted and unsuspended at the least cost for the machine."""
    nowhere = {"gpuassay.io/no-such-node": "true"}
    if distinct:
        options["tolerations"] = kueue.shape(name)
    return core.job(name, lab.namespace, queue.local, nodeSelector=nowhere, **options)


def holding(lab: KueueLab) -> list[str]:
    """Names of Workloads that hold quota: reserved and not finished, in name order."""
    living = lab.objects("Workload")
    return [name_of(one) for one in living if is_true(one, "QuotaReserved") and not is_true(one, "Finished")]


def observe_started(lab: KueueLab, *jobs: str, timeout: float | None = None) -> bool:
    """Give Kueue time to start these Jobs: on a crowded machine that comes seconds after their admission."""

    def started() -> bool:
        found = [lab.get("Job", job) for job in jobs]
        return all(job is not None and dig(job, "spec", "suspend", default=False) is False for job in found)

    return lab.observe(started, f"{', '.join(jobs)} started", timeout=timeout)
