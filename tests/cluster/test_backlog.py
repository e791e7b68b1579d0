"""When a manager that has just started is done with what it found, by its page."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.systems.kueue.component.backlog import worked_off

LIVING = {"LocalQueue": 2, "Workload": 1}


def page(*, handled: dict[str, float], queued: float = 0, running: float = 0) -> list[dict[str, Any]]:
    """A page with one queue, one pool of workers, and how often each controller succeeded."""
    return [
        {"name": "workqueue_depth", "labels": {"name": "job"}, "value": queued},
        {"name": "controller_runtime_active_workers", "labels": {"controller": "job"}, "value": running},
        *(
            {
                "name": "controller_runtime_reconcile_total",
                "labels": {"controller": controller, "result": "success"},
                "value": count,
            }
            for controller, count in handled.items()
        ),
    ]


@pytest.mark.parametrize(
    ("samples", "done"),
    [
        (page(handled={"localqueue_controller": 2, "workload_controller": 3}), True),
        (page(handled={"localqueue": 2, "workload": 1}), True),
        (page(handled={"localqueue_controller": 2}), True),  # no controller is named by the other kind
        (page(handled={"localqueue_controller": 1, "workload_controller": 3}), False),
        (page(handled={"localqueue_controller": 0, "workload_controller": 0}), False),
        (page(handled={"localqueue_controller": 2, "workload_controller": 1}, queued=1), False),
        (page(handled={"localqueue_controller": 2, "workload_controller": 1}, running=1), False),
    ],
)
def test_a_manager_is_done_when_it_has_seen_every_object_and_nothing_waits(samples: list[Any], done: bool) -> None:
    """Red when metrics are read before the controllers have begun."""
    assert worked_off(samples, LIVING) is done
