"""What the scenarios on sharing have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.workloads import claims as resource_slices


def numbered(stem: str, count: int) -> list[str]:
    """`count` names: stem-0, stem-1, ..."""
    return [f"{stem}-{index}" for index in range(count)]


def decided(lab: KueueLab, *names: str) -> bool:
    """Give the scheduler time to look at all of these Workloads: each got quota or was refused it."""
    return lab.observe(lambda: lab.decided(*names), f"{', '.join(names)} decided")


def credit_queue(lab: KueueLab, base: str, quotas: Mapping[str, int], **options: Any) -> Queue:
    """A queue whose quota is in resources of a flavor that stands for no nodes (further arguments: `cluster_queue`)."""
    flavor = lab.flavor(f"{base}-any")
    group = kueue.resource_group({flavor: [kueue.quota(resource, amount) for resource, amount in quotas.items()]})
    name = lab.cluster_queue(base, [group], **options)
    lab.local_queue(base, name)
    return Queue(name=name, local=base, flavor=flavor)


def asks(lab: KueueLab, name: str, queue: Queue, count: int = 1, **requests: int) -> str:
    """Create a Workload of `count` pods that ask for these resources; returns its name."""
    pods = kueue.pod_set(count=count, requests=requests)
    lab.create(kueue.workload(name, lab.namespace, queue.local, [pods]))
    return name


def claim(lab: KueueLab, name: str, exactly: dict[str, Any]) -> str:
    """Create a ResourceClaimTemplate with one request; returns its name."""
    requests = [{"name": "devices", "exactly": exactly}]
    lab.create(resource_slices.claim_template(name, lab.namespace, requests))
    return name
