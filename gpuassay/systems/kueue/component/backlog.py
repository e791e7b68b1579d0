"""Whether a manager that has just started has worked off all that it found on the cluster.

Objects do not tell: after a restart Kueue has nothing to write, so they rest from the first moment on, while the gauges
of its page come only with the first reconciliation of each object. Names of the series: controller-runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuassay.cluster.metrics import Sample

_HANDLED = "controller_runtime_reconcile_total"
_UNDER_WAY = ("workqueue_depth", "controller_runtime_active_workers")


def worked_off(page: Sequence[Sample], living: Mapping[str, int]) -> bool:
    """Whether nothing is queued or under way, and as many objects of each kind were handled as there are.

    Args:
        page: all samples of the manager's metrics.
        living: how many objects there are by kind (`LocalQueue`); their controller is named by it (`localqueue`,
            `localqueue_controller`). A kind without a controller of its name does not count.
    """
    if any(row["value"] for row in page if row["name"] in _UNDER_WAY):
        return False
    handled: dict[str, float] = {}
    for row in page:
        if row["name"] == _HANDLED:
            controller = str(row["labels"]["controller"]).partition("_")[0]
            handled[controller] = handled.get(controller, 0.0) + float(row["value"])
    return all(handled.get(kind.lower(), count) >= count for kind, count in living.items())
