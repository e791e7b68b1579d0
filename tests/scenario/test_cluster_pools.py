"""Cluster pools: clusters side by side, and the machine for one scenario at a time. No cluster is started."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay import pressure
from gpuassay.engine.engine import Engine, Opener, read_status
from gpuassay.engine.pools import ROOMY, ClusterPool, MachineLock, Unavailable, shared_out
from gpuassay.record.recording import Recording
from gpuassay.scenarios.declare import Alone, Scenario
from gpuassay.system import pool
from gpuassay.systems.kueue.acts.lab import Lab
from gpuassay.systems.kueue.readings import KueueRecording

SECONDS = 20


def made(
    name: str,
    act: Callable[[Lab], None] = lambda _: None,
    *,
    profile: str = "default",
    alone: Alone = "",
    system: str = "kueue",
) -> Scenario:
    def function(lab: Lab) -> None:
        act(lab)

    function.__name__ = name
    return Scenario(name, function, system, profile, alone, frozenset(), 60, __name__)


@dataclass
class FakeEnvironment:
    """An environment on which nothing stands: enough for the engine, and nothing else."""

    name: str
    capabilities: frozenset[str] = frozenset()
    collapsed: threading.Event = field(default_factory=threading.Event)
    ours: bool = True
    unseen: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def view(self) -> FakeEnvironment:
        return self

    def gaps(self, _: str) -> list[Any]:
        return []

    def watch(self, *, until: threading.Event) -> None: ...
    def set_profile(self, profile: str) -> None: ...
    def positions(self) -> Any:
        return {}

    def lab(self, scenario: Scenario, token: str, **_: Any) -> Any:
        del scenario
        api = SimpleNamespace(denied=set[str]())
        lab: dict[str, Any] = {"notes": {}, "asked": [], "samples": [], "parts": {}, "api": api}
        return SimpleNamespace(**lab, namespaces=[], token=token)

    def prepare(self, lab: Lab) -> None: ...
    def settle(self, lab: Lab, quiet: float, settled: object) -> None: ...
    def broken(self) -> None: ...
    def lacking(self, scenario: Scenario) -> frozenset[str]:
        return scenario.needs - self.capabilities

    def lines(self, token: str, start: object = None, **_: Any) -> Any:
        return [] if start is None else {}

    def clear(self, lab: Lab, swept: object) -> None: ...
    def at_rest(self) -> None: ...
    def abort(self, why: str) -> None: ...


@contextmanager
def fake(pool: ClusterPool) -> Generator[Any]:
    yield FakeEnvironment(pool.name)


def play(run: Path, scenarios: list[Scenario], opener: Any = fake) -> Engine:
    (run / "recordings").mkdir()
    engine = Engine(cast("Opener", opener), run)
    engine.start(scenarios)
    thread = engine.__dict__["_thread"]
    thread.join(SECONDS)
    assert not thread.is_alive()
    return engine


def test_profiles_and_restarts_get_a_lane_of_their_own() -> None:
    some = [
        made("plain"),
        made("fair", profile="fair-sharing"),
        made("restart", alone="cluster"),
        made("measure", alone="machine"),
        made("route", system="routing"),
        made("slice", system="slices"),
        made("both", system="platform", profile="transformations"),
    ]
    names = {pool.name: [one.id for one in pool.scenarios] for pool in shared_out(some)}
    apart = {"cluster-routing": ["route"], "cluster-slices": ["slice"], "cluster-platform": ["both"]}
    assert names == {"cluster": ["plain", "measure"], "cluster-changing": ["fair", "restart"], **apart}


def test_somebody_elses_cluster_is_one_lane() -> None:
    some = [made("plain"), made("fair", profile="fair-sharing"), made("route", system="routing")]
    assert [pool.name for pool in shared_out(some, pool("cluster"))] == ["cluster"]


def test_lanes_act_side_by_side(tmp_path: Path) -> None:
    """Red when one pool waits for the other: each of these two waits for the other to begin."""
    meet = threading.Barrier(2, timeout=SECONDS)
    engine = play(tmp_path, [made("one", lambda _: _pass(meet)), made("two", lambda _: _pass(meet), profile="dra")])
    assert (engine.problem, read_status(tmp_path)) == ("", ("done", ""))
    assert [KueueRecording.load(tmp_path / "recordings" / name).meta.outcome for name in ("one", "two")] == ["ok", "ok"]


def _pass(meet: threading.Barrier) -> None:
    meet.wait()


def test_what_measures_waits_until_every_lane_is_done(tmp_path: Path) -> None:
    """Red when a measurement begins while another pool still acts."""
    seen: list[str] = []
    go = threading.Event()

    def slow(_: Lab) -> None:
        go.wait(SECONDS)
        seen.append("other pool")

    def first(_: Lab) -> None:
        go.set()  # the main pool is done with its first scenario; the other has not ended yet

    play(
        tmp_path,
        [
            made("first", first),
            made("measure", lambda _: seen.append("measurement"), alone="machine"),
            made("slow", slow, profile="dra"),
        ],
    )
    assert seen == ["other pool", "measurement"]


def test_a_lane_that_cannot_be_opened_breaks_its_own_scenarios_only(tmp_path: Path) -> None:
    """Red when a test would wait for ever, or another pool's scenarios suffer."""

    @contextmanager
    def opener(pool: ClusterPool) -> Generator[Any]:
        if pool.name == "cluster-changing":
            raise RuntimeError("no room for a second cluster")
        yield FakeEnvironment(pool.name)

    engine = play(tmp_path, [made("fine"), made("broken", profile="dra"), made("last", alone="machine")], opener)
    outcomes = {
        name: KueueRecording.load(tmp_path / "recordings" / name).meta.outcome for name in ("fine", "broken", "last")
    }
    assert outcomes == {"fine": "ok", "broken": "error", "last": "ok"}
    assert "no room" in engine.problem


def test_a_lane_that_this_machine_cannot_have_is_skipped_by_type(tmp_path: Path) -> None:
    """Red when a lack of rights or programs breaks the run, or hides what is lacking."""

    @contextmanager
    def opener(pool: ClusterPool) -> Generator[Any]:
        if pool.name == "cluster-slices":
            raise Unavailable("the cluster lacks: real-kubelet (a real node needs root)")
        yield FakeEnvironment(pool.name)

    engine = play(tmp_path, [made("fine"), made("slice", system="slices")], opener)
    found = {name: KueueRecording.load(tmp_path / "recordings" / name).meta for name in ("fine", "slice")}
    assert {name: meta.outcome for name, meta in found.items()} == {"fine": "ok", "slice": "skip"}
    assert "needs root" in found["slice"].error
    assert engine.problem == ""


@pytest.mark.parametrize("alone", ["", "machine"])
def test_a_run_that_is_stopped_ends(tmp_path: Path, alone: Alone) -> None:
    """Red when stopping hangs on a scenario that waits for its turn."""
    begun, end = threading.Event(), threading.Event()

    def slow(_: Lab) -> None:
        begun.set()
        end.wait(SECONDS)

    (tmp_path / "recordings").mkdir()
    engine = Engine(cast("Opener", fake), tmp_path)
    engine.start([made("slow", slow, profile="dra"), made("waits", alone=alone)])
    assert begun.wait(SECONDS)
    end.set()
    engine.stop(abort=True)
    assert not engine.__dict__["_thread"].is_alive()


def test_a_real_node_waits_for_the_kueues_on_a_small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when real nodes are started beside two Kueues on two cores, or wait for nobody on many."""
    cores = {0, 1}

    def affinity(_: int) -> set[int]:
        return cores

    monkeypatch.setattr(os, "sched_getaffinity", affinity)
    main, slices = (ClusterPool(pool(name), ()) for name in ("cluster", "cluster-slices"))
    floor, begun = MachineLock([main.name, slices.name]), threading.Event()

    def node() -> None:
        floor.enter(slices)
        begun.set()

    threading.Thread(target=node, daemon=True).start()
    floor.enter(main)
    assert not begun.wait(0.1)
    floor.leave(main.name)
    assert begun.wait(5)
    cores |= set(range(ROOMY))
    MachineLock([main.name, slices.name]).enter(slices)


def test_whose_the_cpu_time_was_is_not_said_beside_a_cluster_that_is_not_ours(tmp_path: Path) -> None:
    """Red if the system under test, on somebody's cluster on this very machine, counts as a busy neighbour."""

    @contextmanager
    def theirs(pool: ClusterPool) -> Generator[Any]:
        yield FakeEnvironment(pool.name, ours=False)

    def long(_: Lab) -> None:
        time.sleep(pressure.SHORTEST)  # shorter ones have no share

    play(tmp_path, [made("plain", long)], theirs)
    found = Recording.load(tmp_path / "recordings" / "plain").meta.pressure
    assert found["others_cpu_share"] is None and "cpu_stall_share" in found
