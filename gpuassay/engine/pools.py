"""Which scenarios share a cluster: a pool is a cluster of its own with the scenarios that are acted out on it.

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
"""Cores from which on all pools run at once."""


class Unavailable(Exception):  # noqa: N818 - reads as what it is
    """A pool cannot be had on this machine: its scenarios are skipped by type; the message says what is lacking."""


@dataclass(frozen=True)
class ClusterPool:
    """A cluster and what is acted out on it.

    Attributes:
        kind: the kind of cluster.
        scenarios: in the order of their declaration.
    """

    kind: Pool
    scenarios: tuple[Scenario, ...]

    @property
    def name(self) -> str:
        """Its folder in the run directory."""
        return self.kind.name

    @property
    def width(self) -> int:
        """How many scenarios are acted out at a time."""
        return self.kind.width


ONE_CLUSTER = "cluster"
"""The pool of a cluster that is all there is: somebody's."""


def programs_of(pool: ClusterPool, asked: Collection[str]) -> list[str]:
    """Components that the pool waits for: what every run needs, and of its other ones those that were asked for."""
    if pool.kind.lacking():
        return []  # no such cluster can be had here: opening the pool says why
    needs = {need.removeprefix("program:") for one in pool.scenarios for need in one.needs}
    extra = [name for name in pool.kind.extra if name in needs]
    return [name for name in (*pool.kind.programs, *extra) if name in required() or name in asked]


def shared_out(scenarios: Sequence[Scenario], only: Pool | None = None) -> list[ClusterPool]:
    """Share scenarios out among the pools of their systems; all on `only` one where there cannot be several."""

    def pool_of(one: Scenario) -> Pool:
        return only or pool(get(one.system).pool_of(one))

    kinds = {found.name: found for found in map(pool_of, scenarios)}
    return [ClusterPool(found, tuple(one for one in scenarios if pool_of(one) is found)) for found in kinds.values()]


class MachineLock:
    """Gives the machine to one scenario at a time, once every pool is done with what runs side by side."""

    def __init__(self, pools: Iterable[str]) -> None:
        """Every pool is busy."""
        self._busy = set(pools)
        self._closed = False
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    def enter(self, pool: ClusterPool) -> None:
        """Wait until the pool may begin: on a small machine, until those are done that come before it."""
        if len(os.sched_getaffinity(0)) < ROOMY:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._busy.isdisjoint(pool.kind.after))

    def leave(self, pool: str) -> None:
        """A pool is done with what runs side by side."""
        with self._changed:
            self._busy.discard(pool)
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
