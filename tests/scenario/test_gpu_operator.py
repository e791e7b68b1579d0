"""Reading somebody's GPU Operator: what is kept of objects, and what a mutant changes in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.engine.environment import Host
from gpuassay.engine.pools import ClusterPool, Unavailable
from gpuassay.engine.provider import provider_for
from gpuassay.manifest import Manifest
from gpuassay.settings import Settings
from gpuassay.system import pool
from gpuassay.systems.gpu_operator.acts.keep import since
from gpuassay.systems.gpu_operator.acts.mig_manager import recut
from gpuassay.systems.gpu_operator.acts.watch import WINDOW
from gpuassay.systems.gpu_operator.judge import (
    attribution,
    exporter,
    installed,
    mig_config,
    moving,
    offers,
    operands,
    watch,
)
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.gpu_operator.system import POOL
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.scenario.gpu_operator_stubs import Clock, StubApi, StubLab, read, watched

EVERY_JUDGE = (
    installed.policy_findings, operands.operand_findings, operands.revision_findings, moving.stuck_findings,
    installed.unlabelled_findings, installed.runtime_class_findings, installed.version_findings,
    offers.capacity_findings, offers.stale_findings, offers.unhealthy_findings, offers.doubled_findings,
    mig_config.applied_findings, exporter.metric_findings, exporter.coverage_findings,
)  # fmt: skip


def test_what_is_read_is_what_judges_need() -> None:
    """Red when a judge misses something of a healthy GPU Operator in what was kept of it."""
    seen = read(StubApi())
    assert [findings(seen) for findings in EVERY_JUDGE] == [[]] * len(EVERY_JUDGE)


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield key
            yield from _keys(inner)
    if isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _keys(inner)


def test_nothing_secret_is_kept() -> None:
    """Red when containers, and with them environment variables, or last words of somebody's cluster are recorded."""
    api = StubApi()
    secret = {"env": [{"name": "TOKEN", "value": "S3CRET"}], "args": ["S3CRET"]}
    api.objects["ClusterPolicy"][0]["spec"]["driver"] |= secret
    for pod in api.objects["Pod"]:
        ended = {"terminated": {"exitCode": 1, "message": "S3CRET"}}
        pod["status"]["containerStatuses"] = [{"name": "main", "ready": True, "lastState": ended}]
    seen = read(api)
    assert not {"containers", "initContainers", "volumes", "env", "args", "message"} & set(_keys(seen))
    assert "S3CRET" not in repr(seen)
    assert {repr(sorted(one["spec"]["template"]["spec"])) for one in seen["DaemonSet"]} == {"['nodeSelector']"}


def test_a_mutant_changes_what_is_read() -> None:
    """Red when a mutant does not reach the judge."""
    assert installed.policy_findings(read(StubApi(), "policy-not-ready")) != []
    assert exporter.metric_findings(read(StubApi(), "metrics-nameless")) != []
    assert watch.unsteady_findings(watched(StubApi(), "operand-restarts").noted(watch.LOOKS)) != []


def test_an_exporter_that_does_not_answer_is_noted() -> None:
    """Red when an exporter that cannot be reached breaks the scenario, or is content."""
    assert "503" in exporter.metric_findings(read(StubApi(metrics=None)))[0]


def test_configurations_that_nodes_have_are_read_and_no_others() -> None:
    """Red when a node's MIG configuration is not looked up, or a broken file beside it hides it."""
    api = StubApi()
    for node in api.objects["Node"]:
        node["metadata"]["labels"] |= {
            "nvidia.com/mig.config": "all-disabled",
            "nvidia.com/mig.config.state": "success",
        }
    (found,) = read(api)["MigConfig"]
    assert found["name"] == "default-mig-parted-config" and list(found["configs"]) == ["all-disabled"]


def test_without_the_right_to_read_revisions_counts_tell() -> None:
    """Red when the right to read ControllerRevisions is needed, or the lack of another right passes in silence."""
    api = StubApi()
    api.refused = ("controllerrevisions",)
    assert operands.revision_findings(read(api)) == []
    api.refused = ("nvidiadrivers",)
    with pytest.raises(ApiRefused, match="nvidiadrivers is forbidden"):
        read(api)


def test_who_holds_gpus_is_asked_once_more_where_exporters_do_not_know() -> None:
    """Red when a pod that has just ended, or begun, refutes anything at once; or one that is never named does not."""
    api, clock = StubApi(), Clock()
    pod: Manifest = {
        "metadata": {"name": "train", "namespace": "ml"},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "gpu-a", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    }  # fmt: skip
    api.holding = [pod]
    seen = watched(api, clock=clock).noted(OPERATOR)
    assert api.asked == 8 and clock.now >= WINDOW + 60
    (found,) = attribution.attribution_findings(seen)
    assert found == "node gpu-a: pod ml/train holds 1 GPUs or slices, the exporter names it on 0"
    api.metrics = operators.METRICS.replace('UUID="GPU-1"', 'UUID="GPU-1",namespace="ml",pod="train"')
    assert attribution.attribution_findings(read(api)) == [
        "node gpu-b: GPU-1 is told to be of pod ml/train, which holds nothing there"
    ]
    assert attribution.attribution_findings(read(api, "metrics-of-nobody")) == [found]


def test_how_long_a_label_has_stood_is_told_by_its_writer() -> None:
    """Red when the age of a label is another writer's."""
    labels: Manifest = {"f:nvidia.com/mig.config.state": {}, "f:other": {}}
    fields: list[Manifest] = [
        {"time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": labels}}},
        {"time": "2026-01-01T00:59:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
        {"fieldsV1": {}},
    ]
    told = since({"metadata": {"managedFields": fields}}, datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert told == {"nvidia.com/mig.config.state": 3600}


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

    provider = provider_for(Settings())
    with pytest.raises(Unavailable, match="--cluster existing"):
        provider.open(cast("Host", Run()), ClusterPool(pool(POOL), ()))
