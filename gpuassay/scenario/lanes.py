"""Which scenarios share a cluster: a lane is a cluster of its own with the scenarios that are acted out on it.

Most of a scenario is waiting for one-second batches, so two clusters side by side take half the time of one after the
other: while one Kueue is restarted with another configuration, or killed, the other goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuassay.toolchain.catalogue import NODE, required

if TYPE_CHECKING:
    from gpuassay.scenario.declare import Scenario

MAIN = "cluster"
"""The lane of Kueue's default profile; its folder in the run directory."""
CHANGING = "cluster-changing"
"""The lane whose Kueue gets other configurations, is restarted and killed."""
ROUTING = "cluster-routing"
"""The lane of endpoint pickers: no Kueue."""
SLICES = "cluster-slices"
"""The lane with a real node: root only, no Kueue."""
PLATFORM = "cluster-platform"
"""The lane with real nodes and Kueue in front of them: root only."""

OPERATOR = "gpu-operator"
"""The lane of somebody's GPU Operator: no cluster of ours has one, so nothing is started."""

WIDTH = {MAIN: 12, CHANGING: 12, ROUTING: 3, SLICES: 6, PLATFORM: 5, OPERATOR: 1}
"""Scenarios at a time: most of one on Kueue is waiting for one-second batches, so more than the machine's cores; one of
routing starts some ten processes of its own."""

AFTER = {PLATFORM: (MAIN, CHANGING), SLICES: (MAIN, CHANGING, PLATFORM)}
"""Lanes that begin when others are done with what runs side by side. Real nodes beside two Kueues and endpoint pickers
are too much for a small machine: Kueue's webhooks come too late, and what is seen then is the machine's doing. In the
order in which tests are collected, so that none waits for its recording past its deadline."""

_CONTROL = ("controlplane", "kwok")
_QUEUED = ("kueue", *_CONTROL, "kustomize")
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    MAIN: _QUEUED,
    CHANGING: _QUEUED,
    ROUTING: (*_CONTROL, "llmd-epp", "llmd-sim"),
    SLICES: (*_CONTROL, *NODE),
    PLATFORM: (*_QUEUED, *NODE),
    OPERATOR: (),
}
"""Components without which a lane of ours cannot be opened, in the order in which they are built: what compiles most of
the packages that others share comes first. Real nodes are built only where they are asked for (`--build`)."""

EXTRA: Mapping[str, tuple[str, ...]] = {
    ROUTING: ("gaie-epp", "lwepp", "pd-sidecar", "istio"),
    SLICES: ("nvidia-device-plugin", "nvidia-dra", "dra-example", "kubectl", "istio", "gaie-conformance"),
    PLATFORM: ("nvidia-device-plugin", "nvidia-dra", "dra-example"),
}
"""Components that only some of a lane's scenarios need: used where they have been built, or are asked for."""

ROOMY = 8
"""Cores from which on all lanes run at once."""


class Unavailable(Exception):  # noqa: N818 - reads as what it is
    """A lane cannot be had on this machine: its scenarios are skipped by type; the message says what is lacking."""


@dataclass(frozen=True)
class Lane:
    """A cluster and what is acted out on it.

    Attributes:
        name: its folder in the run directory.
        scenarios: in the order of their declaration.
    """

    name: str
    scenarios: tuple[Scenario, ...]

    @property
    def width(self) -> int:
        """How many scenarios are acted out at a time."""
        return WIDTH[self.name]


def programs_of(lane: Lane, asked: Collection[str]) -> list[str]:
    """Components that the lane waits for: what every run needs, and of its other ones those that were asked for."""
    needs = {need.removeprefix("program:") for one in lane.scenarios for need in one.needs}
    extra = [name for name in EXTRA.get(lane.name, ()) if name in needs]
    return [name for name in (*PROGRAMS[lane.name], *extra) if name in required() or name in asked]


def lanes(scenarios: Sequence[Scenario], *, several: bool) -> list[Lane]:
    """Share scenarios out among clusters; all on one where there cannot be several."""

    def lane_of(one: Scenario) -> str:
        if not several:
            return MAIN
        if one.system != "kueue":
            return {"routing": ROUTING, "slices": SLICES, "platform": PLATFORM, "gpu-operator": OPERATOR}[one.system]
        return CHANGING if one.profile != "default" or one.alone == "cluster" else MAIN

    names = dict.fromkeys(lane_of(one) for one in scenarios)
    return [Lane(name, tuple(one for one in scenarios if lane_of(one) == name)) for name in names]


class Floor:
    """Gives the machine to one scenario at a time, once every lane is done with what runs side by side."""

    def __init__(self, lanes: Iterable[str]) -> None:
        """Every lane is busy."""
        self._busy = set(lanes)
        self._closed = False
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    def enter(self, lane: str) -> None:
        """Wait until the lane may begin: `AFTER`."""
        if len(os.sched_getaffinity(0)) < ROOMY:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._busy.isdisjoint(AFTER.get(lane, ())))

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
