"""What a run installs goes with it, and nothing that somebody has begun to use goes without a word."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine import provisioned as runs
from gpuassay.engine.environment import Host
from gpuassay.provision.component import Installation, Provided
from gpuassay.provision.plan import Step, Wanted
from gpuassay.provision.remove import Removal
from gpuassay.toolchain import Assets


def always(value: object) -> Any:
    def told(*_: object) -> object:
        return value

    return told


def test_what_is_there_and_broken_is_told_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a broken installation of somebody's ends the run that is to judge it, or its state is not told."""
    said: list[str] = []

    def use(site: Any, one: Provided) -> None:
        del site
        raise ClusterError(f"{one.name} does not work")

    one = cast("Provided", SimpleNamespace(name="kueue", capability="kueue", further=frozenset[str]()))
    monkeypatch.setattr(runs, "plan", always([(Wanted(one, cast("Any", None)), Step("used as it is"))]))
    monkeypatch.setattr(runs, "use", use)
    host = SimpleNamespace(directory=tmp_path, mutant=None, say=said.append)
    api = cast("Api", SimpleNamespace(connection=None))
    cluster = Cluster("theirs", "existing", tmp_path, api, tmp_path, frozenset())
    with runs.provisioned(cast("Host", host), cluster, [], Assets()):
        assert cluster.capabilities == {"kueue"}
    assert said == ["kueue: used as it is", "kueue does not work"]


def test_a_component_that_somebody_uses_stays_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the end of a run forces somebody's objects away, or one component that stays keeps the next."""
    removed: list[str] = []

    def remove(site: Any, one: Provided, *, force: bool = False) -> Removal:
        del site
        assert not force
        removed.append(one.name)
        if one.name == "kueue":
            raise ClusterError("Kueue is in use by ClusterQueue theirs")
        return Removal(left_by_upstream=["Lease a"])

    settled: dict[str, Any] = {"capability": "", "further": frozenset[str]()}
    components = [cast("Provided", SimpleNamespace(name=name, **settled)) for name in ("device-plugin", "kueue")]
    steps = [(Wanted(one, cast("Any", None)), Step("will be installed", install=True)) for one in components]
    monkeypatch.setattr(runs, "plan", always(steps))
    monkeypatch.setattr(runs, "install", always(None))
    monkeypatch.setattr(runs, "found", always(Installation("v1", "ns", "manifests", run=tmp_path.name)))
    monkeypatch.setattr(runs, "remove", remove)
    host = SimpleNamespace(directory=tmp_path, mutant=None, say=always(None))
    api = cast("Api", SimpleNamespace(connection=None))
    cluster = Cluster("theirs", "existing", tmp_path, api, tmp_path, frozenset())
    with runs.provisioned(cast("Host", host), cluster, [], Assets()):
        pass
    assert removed == ["kueue", "device-plugin"]
    assert (tmp_path / "leaks.txt").read_text() == "kueue: Kueue is in use by ClusterQueue theirs\n"
    assert json.loads((tmp_path / runs.REPORT).read_text())["device-plugin"]["left_by_upstream"] == ["Lease a"]
