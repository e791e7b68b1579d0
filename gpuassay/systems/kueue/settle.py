"""Whether what Kueue counts has caught up with what there is."""

from __future__ import annotations

from gpuassay.manifest import dig, is_true
from gpuassay.scenarios.lab import Lab


def counted(lab: Lab) -> bool:
    """Whether the ClusterQueues count as many workloads with quota, and as many admitted ones, as there are.

    Kueue gathers changes of these counters for 1 s.
    """
    queues = lab.objects("ClusterQueue")
    left = [one for one in lab.view.objects("Workload", token=lab.token) if not is_true(one, "Finished")]
    counters = {"reservingWorkloads": "QuotaReserved", "admittedWorkloads": "Admitted"}
    return all(
        sum(dig(one, "status", counter, default=0) for one in queues) == sum(is_true(one, state) for one in left)
        for counter, state in counters.items()
    )
