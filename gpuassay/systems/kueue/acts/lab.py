"""What a scenario of Kueue acts with: as any (`Lab`), and with queues, jobs and Workloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gpuassay.manifest import Manifest, condition, dig, is_true, name_of
from gpuassay.record import facts
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.floor import Floor, Own, Plan, fake
from gpuassay.systems.kueue.judge.series_versions import BUILD
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.workloads import core

if TYPE_CHECKING:
    from gpuassay.systems.kueue.component.metrics import Sample


class Manager(Protocol):
    """Kueue's manager, as far as scenarios act on it: a process of ours, or pods on somebody's cluster."""

    def kill(self) -> None:
        """End it suddenly; it stays down."""
        ...

    def start(self) -> None:
        """Start it again, and wait until it works."""
        ...

    def metrics(self) -> list[Sample]:
        """All metric samples now."""
        ...

    def upgrade(self) -> None:
        """Take the place of an older one."""
        ...

    def break_off_upgrade(self, applied: float, lived: float) -> None:
        """Begin to take its place, and be killed; `applied`, `lived`: see `notes.BrokenOff`."""
        ...


WATCHES_RETURN = 30_000_000_000
"""Nanoseconds within which every watch that the replacement of a definition has ended is there again."""


@dataclass(frozen=True)
class Queue:
    """A ClusterQueue with a LocalQueue of the scenario's namespace in front of it."""

    name: str
    local: str
    flavor: str


class KueueLab(Lab):
    """A scenario's lab on a cluster with Kueue."""

    installed: Manager | None = None
    """Kueue as a component, where it is ours to touch."""

    ground: Own | None = None
    """Nodes of somebody's cluster that may be put into racks."""

    upgrade_kubernetes: Callable[[], None] | None = None
    """Puts another control plane in the place of this cluster's, where it is that whose upgrade is rehearsed."""

    _redefining_since: int = 0

    has_kueue_alone: bool = False
    """Nobody else uses Kueue meanwhile, so that it may be restarted at the end."""

    def __init__(self, **options: Any) -> None:
        """A lab on somebody's Kueue (arguments of `Lab`), until `owns` says otherwise."""
        super().__init__(**options)
        self.note(notes.CONFIGURATION_KNOWN, False)

    def owns(self, kueue: Manager) -> None:
        """The Kueue under test is ours: it has the scenario's profile, and may be scraped and restarted."""
        self.installed = kueue
        self.note(notes.CONFIGURATION_KNOWN, True)

    def floor(self, plan: Plan) -> Floor:
        """Nodes in racks and blocks: fake ones, or those of the cluster that were lent."""
        return self.ground.lay(self, plan) if self.ground else fake(self, plan)

    @property
    def kueue(self) -> Manager:
        """The Kueue under test as a component; raises RuntimeError where the cluster's Kueue is not ours to touch."""
        if self.installed is None:
            raise RuntimeError("this scenario restarts or scrapes Kueue: declare needs={'kueue-process'}")
        return self.installed

    def upgrade(self) -> None:
        """Put the Kueue, or the Kubernetes, under test in the place of an older one, whose cluster this is."""
        begun = self._redefining_since or time.time_ns()
        if self.upgrade_kubernetes is not None:
            self.upgrade_kubernetes()
        else:
            self.kueue.upgrade()
        self.note(facts.REDEFINED, [begun, time.time_ns() + WATCHES_RETURN])
        if self.mutant is not None:
            self.mutant.disturb_upgrade(self)

    def break_off_upgrade(self, killed: notes.BrokenOff) -> None:
        """Begin the upgrade, and be killed in it, of which `upgrade` is a later try."""
        self._redefining_since = self._redefining_since or time.time_ns()
        self.kueue.break_off_upgrade(killed.applied, killed.lived)
        self.note_next(notes.BROKEN_OFF, killed)

    def scrape(self, label: str) -> None:
        """Keep all of Kueue's own metrics under `label` ("before" and "after" give deltas)."""
        at = time.time_ns()
        self.samples += [{"at": at, "source": "kueue", "label": label, **row} for row in self.kueue.metrics()]

    def scrape_own(self, label: str) -> None:
        """Keep under `label` what Kueue's metrics say of this scenario's queues, of its version and of its start."""
        at = time.time_ns()
        mine = [
            row for row in self.kueue.metrics()
            if row["name"] in ("process_start_time_seconds", BUILD)
            or (not row["name"].endswith("_bucket") and any(self.token in str(one) for one in row["labels"].values()))
        ]  # fmt: skip
        self.samples += [{"at": at, "source": "kueue", "label": label, **row} for row in mine]

    def workload_of(self, owner: str, *, namespace: str | None = None) -> Manifest | None:
        """The Workload that stands for the job (pod, job set, ...) named `owner`."""
        for workload in self.objects("Workload", namespace=namespace):
            owners: list[Manifest] = dig(workload, "metadata", "ownerReferences", default=[])
            if any(entry["name"] == owner for entry in owners) or name_of(workload) == owner:
                return workload
        return None

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
