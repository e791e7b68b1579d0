"""A bench on somebody's cluster is that cluster: arms get what scenarios get there, and are cleared away."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from gpuassay.engine import bench as benches
from gpuassay.engine.environment import Environment, environment_of
from gpuassay.record import facts
from gpuassay.record.parts import AUDIT
from gpuassay.systems.kueue.acts.bench import bench
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.system import SWEPT


class Equipping:
    """An operator that marks the labs that it has seen."""

    capabilities = frozenset[str]()

    def __init__(self) -> None:
        self.seen: list[str] = []

    def equip(self, lab: Any) -> None:
        self.seen.append(lab.token)

    def set_profile(self, profile: str) -> str | None:
        del profile


def environment(*, ours: bool, **more: Any) -> Environment:
    return Environment("run-1", Mock(), Mock(), frozenset(), None, ours=ours, image="busybox:1", **more)


def lab_on(place: Environment) -> KueueLab:
    return place.lab_of(KueueLab, "table-xabc123", full=True, progress=print)


def test_a_lab_knows_what_it_acts_on() -> None:
    place = environment(ours=False)
    assert environment_of(lab_on(place)) is place
    with pytest.raises(KeyError):
        environment_of(KueueLab(token="t", run_id="r", cluster=Mock(), view=Mock()))


def test_arms_on_somebodys_cluster_are_labs_of_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Red when an arm has fake containers, or no way to Kueue, or stays on the cluster when it is over."""
    write = Mock()
    monkeypatch.setattr(benches.recordings, "write", write)
    cleared: list[tuple[str, Any]] = []

    class Watched(Environment):
        def prepare(self, lab: Any) -> None:
            del lab

        def clear(self, lab: Any, swept: Any = ()) -> None:
            cleared.append((lab.token, swept))

    operator = Equipping()
    place = Watched("run-1", Mock(), Mock(), frozenset(), None, ours=False, image="busybox:1", operators=[operator])
    host = lab_on(place)
    host.place = tmp_path / "recordings" / "table"
    with bench(host) as on:
        assert on.environment is place and on.kueue is None and on.profile == "default"
        arm = on.arm("fifo-1")
        job = {
            "kind": "Job",
            "metadata": {},
            "spec": {"template": {"metadata": {}, "spec": {"containers": [{"image": "x"}]}}},
        }
        really = arm.lab.really(job)["spec"]["template"]["spec"]["containers"][0]
        assert (really["image"], arm.lab.full) == ("busybox:1", True)
        assert operator.seen == [host.token, arm.lab.token] and environment_of(arm.lab) is place
        on.close(arm, lines={AUDIT: ()})
    assert (write.call_count, cleared) == (1, [(arm.lab.token, SWEPT)])
    assert host.noted(facts.ARMS) == ["fifo-1"]


def test_a_bench_of_our_own_cluster_is_a_fresh_one() -> None:
    """Red when a measurement at home is made beside other scenarios."""
    assert benches.on_the_spot(lab_on(environment(ours=True))) is None
    elsewhere = environment(ours=False)
    assert benches.on_the_spot(lab_on(elsewhere)) is elsewhere
