"""What a scenario can do: create objects under its own name, wait, and note what the judges must know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, condition, dig, is_true, name_of
from gpuassay.wait import WaitTimeout
from gpuassay.workloads import core, kueue
from gpuassay.workloads.real import with_real_containers

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.components.kueue import Kueue
    from gpuassay.components.llmd.existing import ExistingGateway
    from gpuassay.record.live import LiveView
    from gpuassay.scenario.mutants import Mutant

CLUSTER_SCOPED = frozenset(
    {
        "ClusterQueue",
        "Cohort",
        "ResourceFlavor",
        "WorkloadPriorityClass",
        "AdmissionCheck",
        "Topology",
        "Namespace",
        "Node",
    }
    | {"DeviceClass", "ResourceSlice", "PriorityClass", "RuntimeClass"}
)


PATIENCE = 45.0
"""Seconds for what should show, while everything else has shown: a slow machine is not a broken system."""
IMPATIENCE = 3.0
"""Seconds for what should show, once something has not."""


@dataclass(frozen=True)
class Queue:
    """A ClusterQueue with a LocalQueue of the scenario's namespace in front of it."""

    name: str
    local: str
    flavor: str


class Lab:
    """One scenario's hands on the cluster.

    Everything created carries the run's and the scenario's labels. Cluster-scoped names get the scenario's token as
    a suffix (`lab.unique`), namespaced objects live in `lab.namespace`.
    """

    def __init__(
        self, *, token: str, run_id: str, cluster: Cluster, kueue: Kueue | None, view: LiveView,
        mutant: Mutant | None = None, full: bool = False, progress: Callable[[str], None] = lambda _: None,
        image: str = "", gateway: ExistingGateway | None = None,
    ) -> None:  # fmt: skip
        self.token = token
        self.namespace = f"ga-{token}"
        self.cluster = cluster
        self.api = cluster.api
        self.view = view
        self.full = full
        self.progress = progress
        self.notes: dict[str, Any] = {}
        self.asked: list[Manifest] = []
        self.samples: list[Manifest] = []
        self.requests: list[Manifest] = []
        self.kv_events: list[Manifest] = []
        self.silicon: list[Manifest] = []
        self.namespaces = [self.namespace]
        self.run_id = run_id
        self.mutant = mutant
        self.gateway = gateway
        """Somebody's gateway, where routing is judged there; None where arms are ours."""
        self.place: Path | None = None
        """Where the engine will write the recording; recordings of arms go beside it."""
        self._kueue = kueue
        self._image = image

    @property
    def kueue(self) -> Kueue:
        """The Kueue under test as a component; raises RuntimeError where the cluster's Kueue is not ours to touch."""
        if self._kueue is None:
            raise RuntimeError("this scenario restarts or scrapes Kueue: declare needs={'kueue-process'}")
        return self._kueue

    # --- notes -----------------------------------------------------------------------------------------------------

    def note(self, **values: Any) -> None:
        """Hand JSON-able facts to the judges (`recording.notes`)."""
        self.notes |= json.loads(json.dumps(values))

    def mark(self, name: str) -> None:
        """Note the time now, in ns since the epoch, as `notes["marks"][name]`."""
        self.notes.setdefault("marks", {})[name] = time.time_ns()

    def scrape(self, label: str) -> None:
        """Keep all of Kueue's own metrics under `label` ("before" and "after" give deltas)."""
        at = time.time_ns()
        self.samples += [{"at": at, "source": "kueue", "label": label, **row} for row in self.kueue.metrics()]

    # --- writing ---------------------------------------------------------------------------------------------------

    def unique(self, base: str) -> str:
        """A cluster-wide unique name."""
        return f"{base}-{self.token}"

    @property
    def marks(self) -> dict[str, str]:
        """Labels of everything that this scenario creates."""
        return {labels.RUN: self.run_id, labels.SCENARIO: self.token}

    def _marked(self, manifest: Manifest) -> Manifest:
        marks = self.marks
        metadata = manifest["metadata"] | {"labels": dig(manifest, "metadata", "labels", default={}) | marks}
        marked = manifest | {"metadata": metadata}
        template = dig(marked, "spec", "template", "metadata")
        if template is not None and marked["kind"] != "Workload":
            template["labels"] = (template.get("labels") or {}) | marks
        return marked

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object (through the mutant, when there is one) and return what the server stored.

        Raises:
            ApiRefused: the server refused it; use `attempt` where the refusal is the behaviour.
        """
        asked = self._marked(manifest)
        if self._image:
            asked = with_real_containers(asked, self._image)
        self.asked.append(asked)
        return self.api.create(self.mutant.change(asked) if self.mutant else asked)

    def create_all(self, manifests: Sequence[Manifest], *, threads: int = 8) -> list[Manifest]:
        """Create many objects at once; the order of creation is not defined."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.create, manifests))

    def attempt(self, label: str, manifest: Manifest) -> bool:
        """Try to create an object; note under `notes["attempts"][label]` and return whether it was accepted."""
        return self._attempt(label, lambda: self.create(manifest))

    def attempt_patch(self, label: str, kind: str, name: str, body: Manifest, *, namespace: str | None = None) -> bool:
        """Like `attempt`, for a merge patch."""
        return self._attempt(label, lambda: self.patch(kind, name, body, namespace=namespace))

    def _attempt(self, label: str, request: Callable[[], object]) -> bool:
        outcome: Manifest = {"accepted": True}
        try:
            request()
        except ApiRefused as refused:
            why = {"status": refused.status, "reason": refused.reason, "message": refused.message}
            outcome = {"accepted": False, **why}
        self.notes.setdefault("attempts", {})[label] = outcome
        return bool(outcome["accepted"])

    def _namespace_for(self, kind: str, namespace: str | None) -> str | None:
        return None if kind in CLUSTER_SCOPED else namespace or self.namespace

    def patch(
        self, kind: str, name: str, body: Manifest, *, namespace: str | None = None, subresource: str | None = None
    ) -> Manifest:
        """JSON merge patch (through the mutant, when there is one)."""
        if self.mutant is not None:
            body = self.mutant.change_patch(kind, body)
        return self.api.patch(kind, name, body, namespace=self._namespace_for(kind, namespace), subresource=subresource)

    def delete(self, kind: str, name: str, *, namespace: str | None = None, propagation: str = "Background") -> None:
        """Delete an object; one that is already gone is fine."""
        self.api.delete(kind, name, namespace=self._namespace_for(kind, namespace), propagation=propagation)

    # --- reading ---------------------------------------------------------------------------------------------------

    def objects(self, kind: str, *, namespace: str | None = None) -> list[Manifest]:
        """The latest known objects of this scenario (from the recorder's watch, not a request)."""
        if kind in CLUSTER_SCOPED:
            return self.view.objects(kind, token=self.token)
        return self.view.objects(kind, namespace=namespace or self.namespace)

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """The latest known object, or None."""
        return self.view.get(kind, name, namespace=self._namespace_for(kind, namespace))

    def workload_of(self, owner: str, *, namespace: str | None = None) -> Manifest | None:
        """The Workload that stands for the job (pod, job set, ...) named `owner`."""
        for workload in self.objects("Workload", namespace=namespace):
            owners: list[Manifest] = dig(workload, "metadata", "ownerReferences", default=[])
            if any(entry["name"] == owner for entry in owners) or name_of(workload) == owner:
                return workload
        return None

    # --- waiting ---------------------------------------------------------------------------------------------------

    def until(
        self,
        ready: Callable[[], bool],
        what: str,
        *,
        timeout: float = 30,
        error: Callable[[], str | None] | None = None,
    ) -> None:
        """Wait for a precondition. Failing to reach it breaks the scenario: its tests end as ERROR."""
        self.view.wait(lambda _: ready(), what=what, timeout=timeout, error=(lambda _: error()) if error else None)

    def observe(self, ready: Callable[[], bool], what: str, *, timeout: float | None = None) -> bool:
        """Give the system time to show what it should; the judge sees whether it did (`notes["observed"][what]`).

        Without a `timeout`, as long as a crowded machine needs (`PATIENCE`), yet quick (`IMPATIENCE`) once something
        else has not shown: the first miss refutes a behaviour, what is looked for after it is not worth a long wait.
        """
        seen: dict[str, bool] = self.notes.setdefault("observed", {})
        if timeout is None:
            timeout = PATIENCE if all(seen.values()) else IMPATIENCE
        try:
            self.until(ready, what, timeout=timeout)
            seen[what] = True
        except WaitTimeout:
            seen[what] = False
        return seen[what]

    def has(self, condition: str, *owners: str, namespace: str | None = None) -> bool:
        """Whether the Workloads of all `owners` have `condition` True."""
        found = [self.workload_of(owner, namespace=namespace) for owner in owners]
        return all(workload is not None and is_true(workload, condition) for workload in found)

    def count(self, condition: str, *, namespace: str | None = None) -> int:
        """How many Workloads have `condition` True."""
        return sum(is_true(workload, condition) for workload in self.objects("Workload", namespace=namespace))

    def until_admitted(self, *owners: str, timeout: float = 30) -> None:
        """Wait until the Workloads of all `owners` are admitted."""
        self.until(lambda: self.has("Admitted", *owners), f"{', '.join(owners)} admitted", timeout=timeout)

    def decided(self, *names: str) -> bool:
        """Whether the scheduler has looked at the Workloads of all `names`: given them quota or refused it."""
        found = [self.workload_of(name) for name in names]
        return all(one is not None and condition(one, "QuotaReserved") is not None for one in found)

    def observe_admitted(self, *owners: str, timeout: float | None = None) -> bool:
        """Give the Workloads of `owners` time to be admitted; the judge sees whether they were."""
        return self.observe(lambda: self.has("Admitted", *owners), f"{', '.join(owners)} admitted", timeout=timeout)

    def until_pending(self, cluster_queue: str, count: int, *, timeout: float = 30) -> None:
        """Wait until the ClusterQueue counts exactly `count` pending workloads."""

        def counted() -> bool:
            found = self.get("ClusterQueue", cluster_queue)
            return found is not None and dig(found, "status", "pendingWorkloads", default=0) == count

        self.until(counted, f"{count} pending in {cluster_queue}", timeout=timeout)

    # --- Kueue's furniture -----------------------------------------------------------------------------------------

    def flavor(self, base: str = "gpu", **options: Any) -> str:
        """Create a ResourceFlavor (`kueue.resource_flavor` arguments); returns its name."""
        name = self.unique(base)
        self.create(kueue.resource_flavor(name, **options))
        return name

    def priority_class(self, base: str, value: int) -> str:
        """Create a WorkloadPriorityClass; returns its name."""
        name = self.unique(base)
        self.create(kueue.priority_class(name, value))
        return name

    def cluster_queue(self, base: str, groups: Sequence[Manifest], *, active: bool = True, **options: Any) -> str:
        """Create a ClusterQueue (`kueue.cluster_queue` arguments); waits until it is active; returns its name."""
        name = self.unique(base)
        self.create(kueue.cluster_queue(name, groups, **options))
        if active and not options.get("stop"):
            self.until_active(name)
        return name

    def until_active(self, *cluster_queues: str) -> None:
        """Wait until the ClusterQueues have condition Active."""

        def active() -> bool:
            found = [self.get("ClusterQueue", name) for name in cluster_queues]
            return all(queue is not None and is_true(queue, "Active") for queue in found)

        self.until(active, f"ClusterQueue {', '.join(cluster_queues)} active")

    def local_queue(self, name: str, cluster_queue: str, *, namespace: str | None = None, **options: Any) -> str:
        """Create a LocalQueue; returns its name."""
        self.create(kueue.local_queue(name, namespace or self.namespace, cluster_queue, **options))
        return name

    def queue(
        self, gpus: int | str = 8, *, base: str = "queue", hold: bool = False, borrowing: int | str | None = None,
        lending: int | str | None = None, flavor: str | None = None, active: bool = True, **options: Any,
    ) -> Queue:  # fmt: skip
        """A ClusterQueue with one GPU quota, its flavor (made when not given) and a LocalQueue named `base`.

        Args:
            gpus: nominal quota of `nvidia.com/gpu`.
            base: name of the LocalQueue and stem of the ClusterQueue's name.
            hold: start with stopPolicy Hold: create everything, then `release`.
            borrowing: borrowing limit.
            lending: lending limit.
            flavor: an existing flavor to share.
            active: wait until the ClusterQueue is active.
            **options: further arguments of `kueue.cluster_queue`.
        """
        flavor = flavor or self.flavor(f"{base}-gpu")
        if hold:
            options["stop"] = "Hold"
        name = self.cluster_queue(
            base, [kueue.gpu_group(flavor, gpus, borrowing=borrowing, lending=lending)], active=active, **options
        )
        self.local_queue(base, name)
        return Queue(name=name, local=base, flavor=flavor)

    def release(self, queue: Queue | str) -> None:
        """Lift a ClusterQueue's Hold."""
        name = queue if isinstance(queue, str) else queue.name
        self.mark(f"released {name}")
        self.patch("ClusterQueue", name, {"spec": {"stopPolicy": "None"}})

    def job(self, name: str, queue: Queue | str | None, **options: Any) -> str:
        """Create a Job in a queue (`core.job` arguments); returns its name."""
        local = queue.local if isinstance(queue, Queue) else queue
        self.create(core.job(name, self.namespace, local, **options))
        return name

    def jobs(
        self,
        names: Iterable[str],
        queue: Queue | str,
        *,
        each: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> list[str]:
        """Create many Jobs at once; `each` holds further arguments by name."""
        local = queue.local if isinstance(queue, Queue) else queue
        listed = list(names)
        self.create_all(
            [core.job(name, self.namespace, local, **{**options, **((each or {}).get(name) or {})}) for name in listed]
        )
        return listed
