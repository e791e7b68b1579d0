"""Which scenarios share a cluster: a lane is a cluster of its own with the scenarios that are acted out on it.

Most of a scenario is waiting for one-second batches, so two clusters side by side take half the time of one after the
other: while one Kueue is restarted with another configuration, or killed, the other goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuassay.system import Pool, get, pool
from gpuassay.toolchain.catalogue import required

if TYPE_CHECKING:
    from gpuassay.scenarios.declare import Scenario


ROOMY = 8
"""Cores from which on all lanes run at once."""


class Unavailable(Exception):  # noqa: N818 - reads as what it is
    """A lane cannot be had on this machine: its scenarios are skipped by type; the message says what is lacking."""


@dataclass(frozen=True)
class Lane:
    """A cluster and what is acted out on it.

    Attributes:
        pool: the kind of cluster.
        scenarios: in the order of their declaration.
    """

    pool: Pool
    scenarios: tuple[Scenario, ...]

    @property
    def name(self) -> str:
        """Its folder in the run directory."""
        return self.pool.name

    @property
    def width(self) -> int:
        """How many scenarios are acted out at a time."""
        return self.pool.width


ONE_CLUSTER = "cluster"
"""The lane of a cluster that is all there is: somebody's."""


def programs_of(lane: Lane, asked: Collection[str]) -> list[str]:
    """Components that the lane waits for: what every run needs, and of its other ones those that were asked for."""
    if lane.pool.lacking():
        return []  # no such cluster can be had here: opening the lane says why
    needs = {need.removeprefix("program:") for one in lane.scenarios for need in one.needs}
    extra = [name for name in lane.pool.extra if name in needs]
    return [name for name in (*lane.pool.programs, *extra) if name in required() or name in asked]


def lanes(scenarios: Sequence[Scenario], only: Pool | None = None) -> list[Lane]:
    """Share scenarios out among the pools of their systems; all on `only` one where there cannot be several."""

    def pool_of(one: Scenario) -> Pool:
        return only or pool(get(one.system).pool_of(one))

    pools = {found.name: found for found in map(pool_of, scenarios)}
    return [Lane(found, tuple(one for one in scenarios if pool_of(one) is found)) for found in pools.values()]


class MachineLock:
    """Gives the machine to one scenario at a time, once every lane is done with what runs side by side."""

    def __init__(self, lanes: Iterable[str]) -> None:
        """Every lane is busy."""
        self._busy = set(lanes)
        self._closed = False
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    def enter(self, lane: Lane) -> None:
        """Wait until the lane may begin: on a small machine, until those are done that come before it."""
        if len(os.sched_getaffinity(0)) < ROOMY:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._busy.isdisjoint(lane.pool.after))

    def leave(self, lane: str) -> None:
        """A lane is done with what runs side by side."""
        with self._changed:
            self._busy.discard(lane)
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any more: the run is being broken off."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextmanager
    def alone(self) -> Generator[None]:
        """The machine for the length of a `with` block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or self._closed)
        with self._turn:
            yield
