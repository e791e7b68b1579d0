"""Findings of the referee that are known upstream defects: each is judged by a behaviour of its own instead.

A known defect would turn every test red that reads a recording with its trigger. So the referee leaves out exactly the
sentences below, and a behaviour that is a `known_defect` asserts that they are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TRANSFORMED_AND_CLAIMED: Final = "https://github.com/kubernetes-sigs/kueue/issues/14160"
RAW_AFTER_BACKOFF: Final = "https://github.com/kubernetes-sigs/kueue/issues/15093"
COUNTED_IN_FLIGHT: Final = "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/cache/queue/manager.go#L936"
COUNTED_AFTER_STOP: Final = "https://github.com/kubernetes-sigs/kueue/pull/15576"
COUNTED_INCOMPLETE: Final = (
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/controller/core/workload_controller.go#L1433"
)
ADMITTED_INCOMPLETE: Final = "https://github.com/kubernetes-sigs/kueue/issues/12656"
GAUGES_AFTER_RESTART: Final = (
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/controller/core/localqueue_controller.go#L257"
)
COHORT_GAUGE_AFTER_RESTART: Final = (
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/cache/scheduler/clusterqueue.go#L542"
)
GAUGES_AFTER_EDITS: Final = (
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/controller/core/clusterqueue_controller.go#L403"
)
PENDING_AFTER_EDITS: Final = "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/cache/queue/metrics.go#L58"
NODE_FAILURES_TWICE: Final = "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/workload/evict/evict.go#L197"
STATUS_AFTER_DELETION: Final = (
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/controller/core/localqueue_controller.go"
)
RETURNED_NODE: Final = "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/cache/scheduler/tas_cache.go"

KNOWN: Final = {
    r"is charged \S+ \S+ besides what a transformation makes of it": TRANSFORMED_AND_CLAIMED,
    r"is charged nothing, when tried again after its backoff": RAW_AFTER_BACKOFF,
    r"^LocalQueue \S+ counts one waiting Workload too few": COUNTED_IN_FLIGHT,
    r"still counts \d+ waiting Workloads of a LocalQueue that was stopped or deleted": COUNTED_AFTER_STOP,
    r"counts \d+ Workloads as waiting for quota that wait for replacement pods": COUNTED_INCOMPLETE,
    r"^a restart of Kueue moved \S*pending\S*\{.*: the difference waits for replacement": COUNTED_INCOMPLETE,
    r"^a restart of Kueue moved kueue_local_queue_resource_\w+\{.*\} from \S+ to 0$": GAUGES_AFTER_RESTART,
    r"^a restart of Kueue moved kueue_cohort_subtree_admitted_active_workloads\{": COHORT_GAUGE_AFTER_RESTART,
}
"""Expressions of findings, and the upstream issue of each."""

_ANY: Final = re.compile("|".join(KNOWN))


def news(findings: Iterable[str]) -> list[str]:
    """The findings that are no known defect."""
    return [one for one in findings if not _ANY.search(one)]


EDITED: Final = {
    r"\bkueue_cohort_subtree_(quota|admitted_active_workloads|resource_reservations)\b": GAUGES_AFTER_EDITS,
    r"\bkueue_cluster_queue_resource_pending\b": PENDING_AFTER_EDITS,
    r"\bkueue_local_queue_status of .*active=False tells 1, recount gives 0$": STATUS_AFTER_DELETION,
    r"\bkueue_evicted_workloads_total of .*reason=NodeFailures tells": NODE_FAILURES_TWICE,
}
"""Likewise, of what goes wrong only where queues and cohorts are edited at random while in use."""

_ANY_OF_EDITS: Final = re.compile("|".join(EDITED))


def news_of_edits(findings: Iterable[str]) -> list[str]:
    """The findings after random edits that are no known defect."""
    return [one for one in findings if not _ANY_OF_EDITS.search(one)]
