"""Which nodes of somebody's cluster an arm of Table 3 may have, and what its jobs run there."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any
from unittest.mock import Mock

import pytest

from gpuassay import labels
from gpuassay.cluster.errors import NotFromOutside
from gpuassay.manifest import Manifest
from gpuassay.settings import Settings
from gpuassay.systems.kueue import options
from gpuassay.systems.kueue.acts.own_gpus import free_of, some
from gpuassay.workloads import core
from gpuassay.workloads.real import with_real_containers
from suites.kueue.performance.table3 import ARMS, batched


@pytest.fixture(autouse=True)
def taken_back() -> Generator[None]:
    yield
    options.take(Settings.of(argparse.Namespace()))


def node(name: str, gpus: str = "8", ready: str = "True", **spec: Any) -> Manifest:
    status = {"allocatable": {labels.GPU: gpus}, "conditions": [{"type": "Ready", "status": ready}]}
    meta = {"name": name, "labels": {"kubernetes.io/hostname": f"{name}.example"}}
    return {"kind": "Node", "metadata": meta, "spec": spec, "status": status}


def pod(on: str, *, run: str = "", phase: str = "Running", gpus: str = "1") -> Manifest:
    marks = {labels.RUN: run} if run else {}
    limits = {labels.GPU: gpus} if gpus else {}
    spec = {"nodeName": on, "containers": [{"resources": {"limits": limits}}]}
    return {"kind": "Pod", "metadata": {"name": "p", "labels": marks}, "spec": spec, "status": {"phase": phase}}


def test_only_nodes_with_exactly_eight_free_gpus_are_taken() -> None:
    """Red when an arm shares GPUs with somebody, or plain Jobs have more than eight."""
    taint = [{"key": labels.GPU, "effect": "NoSchedule"}]
    nodes = [
        node("sound"), node("tainted", taints=taint), node("small", "4"), node("big", "16"),
        node("away", ready="False"), node("cordoned", unschedulable=True),
        node("used"), node("ended"), node("ours"), node("cpus"),
    ]  # fmt: skip
    pods = [pod("used"), pod("ended", phase="Succeeded"), pod("ours", run="me"), pod("cpus", gpus="")]
    assert free_of(nodes, pods, 8, "me") == [f"{one}.example" for one in ("cpus", "ended", "ours", "sound", "tainted")]
    api = Mock()
    api.list.return_value = []
    with pytest.raises(NotFromOutside, match="exactly 8"):
        some(api, 8, "me")


@pytest.mark.parametrize(("nodes", "groups"), [(1, 7), (2, 4), (7, 1), (9, 1)])
def test_every_arm_has_its_turn_once(nodes: int, groups: int) -> None:
    found = batched(ARMS, nodes)
    assert len(found) == groups and [one for group in found for one in group] == list(ARMS)


def test_a_job_runs_the_users_command_for_its_time() -> None:
    job = core.job("one", "ns", "queue", run_for=12.5)
    job["spec"]["template"]["metadata"]["annotations"][labels.COMMAND] = "burn --for {seconds}"
    [container] = with_real_containers(job, "mine:1")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["command"][-1]) == ("mine:1", "burn --for 12.500; exit 0")


def test_what_only_a_users_cluster_has_is_refused_elsewhere() -> None:
    options.take(Settings.of(argparse.Namespace(cluster="existing", own_gpus=True, job_command="burn {seconds}")))
    assert (options.CHOSEN.own_gpus, options.CHOSEN.job_command) == (True, "burn {seconds}")
    for given in ({"own_gpus": True}, {"job_command": "burn {seconds}"}):
        with pytest.raises(pytest.UsageError, match="only with --cluster existing"):
            options.take(Settings.of(argparse.Namespace(cluster="embedded", **given)))
