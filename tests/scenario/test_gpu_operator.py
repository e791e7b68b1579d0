"""Reading somebody's GPU Operator: what is kept of objects, what a mutant changes, and the skip where there is none."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.engine.environment import Host
from gpuassay.engine.pools import Lane, Unavailable
from gpuassay.engine.provider import provider_for
from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.system import pool
from gpuassay.systems.gpu_operator.acts.mig_manager import recut
from gpuassay.systems.gpu_operator.acts.read import READ, note_operator
from gpuassay.systems.gpu_operator.judge import installed as judge
from gpuassay.systems.gpu_operator.system import POOL
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.noting import Noting


class StubApi:
    """Answers as an API server on which the stand-in's objects are."""

    def __init__(self, metrics: str | None = operators.METRICS) -> None:
        self.metrics = metrics

    def raw(self, path: str) -> str:
        """A list, or what an exporter tells."""
        for kind, where in READ.items():
            if path == where:
                return json.dumps({"items": operators.healthy()[kind]})
        if self.metrics is None:
            raise ApiRefused(503, "ServiceUnavailable", "error trying to reach service")
        return self.metrics

    def list(self, kind: str) -> list[Manifest]:
        """The nodes."""
        assert kind == "Node"
        labels = {"gpuassay.io/mig-trial": "same", "nvidia.com/mig.config": "same"}
        return [{"metadata": {"name": "gpu-a", "labels": labels}}]


class StubLab(Noting):
    """As much of a lab as reading takes."""

    def __init__(self, api: StubApi, mutant: str | None = None) -> None:
        super().__init__()
        self.api = api
        self.mutant = mutants.chosen(mutant)


def _read(api: StubApi, mutant: str | None = None) -> dict[str, list[Manifest]]:
    lab = StubLab(api, mutant)
    note_operator(cast("Lab", lab))
    return lab.noted(judge.OPERATOR)


def test_what_is_read_is_what_judges_need() -> None:
    """Red when a judge misses something of a healthy GPU Operator in what was kept of it."""
    seen = _read(StubApi())
    every = (
        judge.policy_findings, judge.operand_findings, judge.runtime_class_findings, judge.version_findings,
        judge.capacity_findings, judge.metric_findings,
    )  # fmt: skip
    assert [findings(seen) for findings in every] == [[]] * len(every)


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield key
            yield from _keys(inner)
    if isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _keys(inner)


def test_nothing_secret_is_kept() -> None:
    """Red when containers, and with them environment variables, or pod templates of somebody's cluster are recorded."""
    assert not {"containers", "initContainers", "template", "volumes"} & set(_keys(_read(StubApi())))


def test_a_mutant_changes_what_is_read() -> None:
    """Red when a mutant does not reach the judge."""
    assert judge.policy_findings(_read(StubApi(), "policy-not-ready")) != []
    assert judge.metric_findings(_read(StubApi(), "metrics-nameless")) != []


def test_an_exporter_that_does_not_answer_is_noted() -> None:
    """Red when an exporter that cannot be reached breaks the scenario, or is content."""
    assert "503" in judge.metric_findings(_read(StubApi(metrics=None)))[0]


def test_a_trial_that_changes_nothing_is_refused() -> None:
    """Red when a node is to be cut as it is already, and nobody says so."""
    with pytest.raises(ClusterError, match="cut as same already"):
        recut(cast("Lab", StubLab(StubApi())))


def test_our_own_clusters_have_none(tmp_path: Path) -> None:
    """Red when something is started for what no cluster of ours has, or the skip does not say what to do."""

    class Run:
        directory, mutant = tmp_path, None

        def say(self, text: str) -> None:
            """Nothing."""

    option = argparse.Namespace(asset=[], build=[], cluster="embedded", gateway_url=None)
    provider = provider_for(option)
    with pytest.raises(Unavailable, match="--cluster existing"):
        provider.open(cast("Host", Run()), Lane(pool(POOL), ()))
