"""On somebody else's cluster: only our own objects, all of them removed, and that proved."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster import leaks
from gpuassay.cluster.api import Api
from gpuassay.cluster.ports import free_ports
from tests.live.conftest import JUDGING, SLOW, LiveSuite, Outcome

TESTS = '''
@scenario(profile="fair-sharing")
def other_profile(lab):
    """Needs another configuration."""

@scenario(needs={"kueue-process"})
def restarts(lab):
    """Needs Kueue as our process."""

@says("demo.live.judged")
def test_judged(quick):
    assert len(quick.workloads()) == 1

@says("demo.live.other-profile")
def test_other_profile(other_profile): pass

@says("demo.live.restarts")
def test_restarts(restarts): pass
'''

LEAKS = '''
from gpuassay.engine import existing
existing.SWEEP_SECONDS = 8.0  # what is held will not go later either

@scenario()
def leaves(lab):
    """An object that somebody else holds fast."""
    metadata = {"name": "held", "namespace": lab.namespace, "finalizers": ["example.org/theirs"]}
    lab.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

@says("demo.live.leaves")
def test_leaves(leaves): pass
'''


@contextmanager
def up(folder: Path, *arguments: str) -> Generator[Path]:
    """The kubeconfig of a cluster that another process runs."""
    host = LiveSuite(folder)
    place = folder / "up"
    with host.start("--directory", str(place), *arguments, program=("gpuassay", "up")) as running:
        running.until_said("Ctrl-C stops it all")
        yield place / "kubeconfig"
        running.process.send_signal(signal.SIGINT)
        assert running.finish().code == 0


@pytest.fixture(scope="module")
def theirs(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Somebody's cluster with Kueue."""
    with up(tmp_path_factory.mktemp("theirs"), "--nodes", "2") as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="module")
def api(theirs: Path) -> Generator[Api]:
    """Their own access to it."""
    access = Api.from_kubeconfig(theirs, direct=True)
    yield access
    access.close()


def _on(kubeconfig: Path) -> list[str]:
    return ["--cluster", "existing", "--gpuassay-kubeconfig", str(kubeconfig)]


def _left(api: Api, outcome: Outcome) -> list[str]:
    return leaks.leftovers(api, outcome.run.resolve().name)


def test_what_can_be_done_there_is_done_and_nothing_is_left(suite: LiveSuite, theirs: Path, api: Api) -> None:
    """Red when something of ours stays, something of theirs goes, or what cannot be done there is no typed skip."""
    foreign: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "default"},
    }
    api.create(foreign)
    namespaces = {one["metadata"]["name"] for one in api.list("Namespace")}
    suite.write(TESTS)
    outcome = suite.run(*_on(theirs))
    states = {"demo.live.judged": "PASS", "demo.live.other-profile": "SKIP", "demo.live.restarts": "SKIP"}
    assert outcome.states == states, outcome.output
    assert outcome.code == 0
    verdicts = outcome.verdicts
    assert verdicts["demo.live.other-profile"]["reason"].startswith(
        "Kueue's configuration is not ours to change (profile fair-sharing)"
    )
    assert verdicts["demo.live.restarts"]["reason"].startswith("the cluster lacks: kueue-process (let the run install")
    assert not _left(api, outcome)
    assert {one["metadata"]["name"] for one in api.list("Namespace")} == namespaces
    assert api.get("ConfigMap", "x", "default")
    told = json.loads((outcome.run / "run.json").read_text())
    assert told["cluster"]["provider"] == "existing"
    assert told["discovered"]["nodes"]["count"] == 2 and told["discovered"]["missing_rights"] == []
    assert outcome.output.count("this cluster:") == 1


def test_a_run_that_is_interrupted_there_cleans_up(suite: LiveSuite, theirs: Path, api: Api) -> None:
    """Red when Ctrl-C leaves a run's objects on somebody's cluster."""
    suite.write(JUDGING + SLOW)
    with suite.start(*_on(theirs)) as running:
        running.until_reached("acting", "judging")
        os.killpg(running.process.pid, signal.SIGINT)
        outcome = running.finish()
    assert outcome.code == 2, outcome.output
    assert outcome.states["demo.live.judged"] == "PASS"
    assert not _left(api, outcome)


def test_the_death_of_the_recorder_there_is_an_error(suite: LiveSuite, theirs: Path, api: Api) -> None:
    """Red when a run goes on without anyone who records it, or its objects stay."""
    suite.write(SLOW)
    with suite.start(*_on(theirs)) as running:
        running.until_reached("acting")
        os.kill(running.pid_of("gpuassay.record.recorder"), signal.SIGKILL)
        outcome = running.finish()
    assert outcome.code == 1, outcome.output
    for verdict in outcome.verdicts.values():
        assert verdict["state"] == "ERROR"
        assert "the recorder died: killed by signal 9; its last lines:" in verdict["reason"]
    assert not _left(api, outcome)


def test_what_cannot_be_removed_fails_the_run_and_is_named(suite: LiveSuite, theirs: Path, api: Api) -> None:
    """Red when a run that leaves something behind is green or does not say what."""
    suite.write(LEAKS)
    outcome = suite.run(*_on(theirs))
    [held] = [one for one in api.list("ConfigMap") if one["metadata"]["name"] == "held"]
    namespace = held["metadata"]["namespace"]
    assert outcome.states == {"demo.live.leaves": "PASS"}
    assert outcome.code == 1, outcome.output
    assert f"ConfigMap {namespace}/held" in (outcome.run / "leaks.txt").read_text()
    assert f"ConfigMap {namespace}/held" in outcome.output
    api.patch("ConfigMap", "held", {"metadata": {"finalizers": None}}, namespace)
    assert not leaks.sweep(api, outcome.run.resolve().name)


def test_a_cluster_that_cannot_be_used_is_one_line(programs: None, tmp_path: Path) -> None:
    """Red when a cluster without Kueue, a dead address or bad credentials cost more than one line, or read as FAIL."""
    suites = {name: LiveSuite(tmp_path / name) for name in ("context", "unreachable", "expired", "nothing")}
    for suite in suites.values():
        suite.write(TESTS)
    with up(tmp_path / "bare", "--no-kueue") as kubeconfig, ExitStack() as stack:
        good: dict[str, Any] = json.loads(kubeconfig.read_text())
        server = good["clusters"][0]["cluster"]
        cases: dict[str, tuple[dict[str, Any], list[str], str]] = {
            "context": (good, ["--gpuassay-context", "nope"], "has no context 'nope'; it has "),
            "unreachable": (
                good | {"clusters": [{**good["clusters"][0], "cluster": server | {"server": _nowhere()}}]},
                [],
                "cannot be reached: ",
            ),
            "expired": (
                good | {"users": [{"name": good["users"][0]["name"], "user": {"token": "expired"}}]},
                [],
                "does not accept its credentials (401)",
            ),
        }
        runs = {
            "nothing": (stack.enter_context(suites["nothing"].start("--cluster", "existing")), "needs --gpuassay-k")
        }
        for name, (config, arguments, message) in cases.items():
            place = suites[name].folder / "config"
            place.write_text(json.dumps(config))
            runs[name] = (stack.enter_context(suites[name].start(*_on(place), *arguments)), message)
        for name, (running, message) in runs.items():
            outcome = running.finish()
            assert outcome.code == 2, f"{name}: {outcome.output}"
            assert [line for line in outcome.output.splitlines() if message in line], f"{name}: {outcome.output}"
            assert "Traceback" not in outcome.output
            assert not (suites[name].folder / "reports").exists()


def test_a_cluster_without_kueue_leaves_its_behaviours_open_by_name(programs: None, tmp_path: Path) -> None:
    """Red when what Kueue alone can show reads as held or refuted on a cluster that has none, or nothing says so."""
    suite = LiveSuite(tmp_path / "suite")
    suite.write(TESTS)
    with up(tmp_path / "bare", "--no-kueue") as kubeconfig, suite.start(*_on(kubeconfig)) as running:
        outcome = running.finish()
    assert outcome.code == 1, outcome.output
    assert "Nothing executed: all 3 behaviours were skipped." in outcome.output
    assert "the cluster lacks: kueue" in outcome.output


def _nowhere() -> str:
    return f"https://127.0.0.1:{free_ports(1)[0]}"
