"""When a scenario counts as at rest: by what is its own, not by what others do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from gpuassay.engine.environment import Environment
from gpuassay.record import facts
from gpuassay.record.timeline import EventLine
from gpuassay.systems.kueue.settle import counted
from gpuassay.waiting import WaitTimeout
from tests.noting import Noting

QUIET = 1.0


class Watched(Noting):
    """A scenario's lab and the view of its changes, in which nothing happens any more."""

    token = "x"

    def __init__(self, changes: Sequence[tuple[str, float]]) -> None:
        self.changed = [EventLine(time.time_ns() - round(ago * 1e9), "MODIFIED", kind, "{}") for kind, ago in changes]
        super().__init__()

    @property
    def view(self) -> Watched:
        return self

    def lines(self, _: str) -> list[EventLine]:
        return sorted(self.changed, key=lambda one: one.at)

    def objects(self, _: str, token: str = "") -> list[Any]:
        return []

    def until(self, ready: Callable[[], bool], what: str, *, timeout: float) -> None:
        if not ready():
            raise WaitTimeout(what, timeout, None)


def comes_to_rest(*changes: tuple[str, float]) -> bool:
    """Whether a scenario is said to be at rest at once, after changes of a kind so many seconds ago."""
    watched: Any = Watched(changes)
    nothing: Any = None
    environment = Environment(
        run_id="x", cluster=nothing, view=watched, capabilities=frozenset(), mutant=None,
    )  # fmt: skip
    environment.settle(watched, QUIET, counted)
    return watched.noted(facts.AT_REST)


def test_a_scenario_whose_pods_change_does_not_rest() -> None:
    """Red when a scenario is cut off while its own objects still change."""
    assert not comes_to_rest(("Node", 9.0), ("Pod", 0.0))


def test_nodes_and_devices_of_others_disturb_nobodys_rest() -> None:
    """Red when a scenario waits until those beside it have nothing to do with their nodes any more."""
    assert comes_to_rest(("Pod", 9.0), ("Node", 0.0), ("ResourceSlice", 0.0))
