"""Cluster pools and the builds they wait for: who begins when, and what a failed build does to whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from gpuassay.engine.builds import Builds
from gpuassay.engine.engine import Engine, Opener, read_status
from gpuassay.engine.pools import ClusterPool
from gpuassay.record import rundir
from gpuassay.systems.kueue.acts.lab import Lab
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.toolchain import Assets
from tests.scenario.test_builds import scripts
from tests.scenario.test_cluster_pools import SECONDS, fake, made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = rundir.new_run_dir(tmp_path / "reports" / "runs")
    rundir.begin(directory, mode="live", replay_of=None, mutant=None, command=["pytest"])
    return directory


def engine_of(
    run: Path, monkeypatch: pytest.MonkeyPatch, builds: Mapping[str, str], lacking: Sequence[str] | None = None
) -> Engine:
    """An engine whose missing programs are `lacking` (all of `builds`), built by shell scripts."""
    missing = set(lacking or [name.replace("_", "-") for name in builds])

    def of(names: Sequence[str], _: Assets) -> list[str]:
        return [name for name in names if name in missing]

    monkeypatch.setattr("gpuassay.engine.engine.missing", of)
    monkeypatch.setattr("gpuassay.engine.engine.Builds", partial(Builds, command=scripts(**builds)))

    def programs(pool: ClusterPool) -> Sequence[str]:
        return pool.kind.programs

    return Engine(cast("Opener", fake), run, programs=programs)


def ended(engine: Engine) -> None:
    thread = engine.__dict__["_thread"]
    thread.join(SECONDS)
    assert not thread.is_alive()


def outcome(run: Path, name: str) -> tuple[str, str]:
    meta = KueueRecording.load(run / "recordings" / name).meta
    return meta.outcome, meta.error


def test_a_pool_begins_when_its_own_programs_are_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if the first verdicts wait for programs that only another pool needs."""
    hold = run / "hold"
    begun = threading.Event()
    engine = engine_of(run, monkeypatch, {"llmd_epp": f"while [ ! -e {hold} ]; do sleep 0.05; done"})
    engine.start([made("queue", lambda _: begun.set()), made("route", system="routing")])
    assert begun.wait(SECONDS)
    assert read_status(run)[0] == "building"
    assert not (run / "recordings" / "route").exists()
    hold.touch()
    ended(engine)
    assert outcome(run, "route") == ("ok", "")


def test_measurements_begin_when_nothing_is_built_any_more(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if a compiler runs beside a measurement."""
    seen: list[bool] = []
    done = run / "done"
    engine = engine_of(run, monkeypatch, {"llmd_epp": f"sleep 0.5; touch {done}"})
    engine.start([made("measure", lambda _: seen.append(done.exists()), alone="machine"), made("r", system="routing")])
    ended(engine)
    assert seen == [True]


def test_what_was_made_beside_a_build_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def act(_: Lab) -> None:
        release.set()

    engine = engine_of(run, monkeypatch, {"llmd_epp": "sleep 0.5"})
    engine.start([made("early", act), made("route", system="routing")])
    ended(engine)
    meta = KueueRecording.load(run / "recordings" / "early").meta
    assert meta.pressure["beside_builds"] == ["llmd-epp"]
    assert "beside_builds" not in KueueRecording.load(run / "recordings" / "route").meta.pressure
    told: list[dict[str, Any]] = json.loads((run / "run.json").read_text())["builds"]
    assert [(one["component"], one["recordings_beside"]) for one in told] == [("llmd-epp", ["early"])]


def test_without_network_for_one_program_the_other_pools_go_on_and_the_run_is_not_green(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if a lost registry ends everything, reads as a fault of the system, or leaves a green run."""
    lost = "echo gpuassay: Go modules of llmd-epp cannot be downloaded: no such host; exit 3"
    engine = engine_of(run, monkeypatch, {"llmd_epp": lost})
    engine.start([made("queue"), made("route", system="routing")])
    ended(engine)
    assert outcome(run, "queue") == ("ok", "")
    state, reason = outcome(run, "route")
    assert state == "skip"
    assert reason == "the cluster lacks: program:llmd-epp (Go modules of llmd-epp cannot be downloaded: no such host)"
    assert engine.problem.startswith("llmd-epp could not be built: ")


def test_a_build_that_fails_breaks_its_own_pool_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(run, monkeypatch, {"llmd_epp": "echo gpuassay: no space left while building llmd-epp; exit 2"})
    engine.start([made("queue"), made("route", system="routing")])
    ended(engine)
    assert outcome(run, "queue") == ("ok", "")
    assert outcome(run, "route") == ("error", "ToolchainError: no space left while building llmd-epp")


def test_an_optional_program_that_cannot_be_had_skips_its_pool_and_nothing_else(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if a machine without a C compiler gets no green run for queueing."""
    engine = engine_of(run, monkeypatch, {"runc": "echo gpuassay: runc is partly C and there is no cc; exit 3"})
    engine.start([made("queue"), made("slice", system="slices")])
    ended(engine)
    state, reason = outcome(run, "slice")
    assert (state, engine.problem) == ("skip", "")
    assert "runc is partly C" in reason


def test_a_run_that_is_broken_off_while_building_ends_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if Ctrl-C waits for a compiler."""
    engine = engine_of(run, monkeypatch, {"kueue": "sleep 600"})
    engine.start([made("queue")])
    engine.stop(abort=True)
    assert not engine.__dict__["_thread"].is_alive()
    assert read_status(run)[0] == "failed"
