"""An upgrade of a provisioned Kueue is killed half-way: a second try or a removal mends it. Root only.

The cluster is one like a user's, whose Kueue 0.18.4 has admitted a job that runs and has one that waits.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest, condition, dig
from gpuassay.provision.objects import Ref
from gpuassay.waiting import wait
from tests.cluster.conftest import need_programs, need_whole_cluster
from tests.live.proof import ROOT, call, command, environment, everything
from tests.live.proof_uses import KUEUE, PLACE, SECONDS, kueue_manifests, made, pod_spec, there

OLD, NEW = "0.18.4", "0.19.2"
SPAN = 12.0
"""Seconds of an upgrade in which the killing moments are spread: it takes about as long."""
MOMENTS = random.Random("killed upgrade")


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """One node."""
    need_whole_cluster("helm", "kueue", "kustomize")
    need_programs(f"kueue@{OLD}")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1) as up:
        yield up


def words(how: str, folder: Path, version: str) -> Sequence[str]:
    """Of `gpuassay provision`, for a version of Kueue by its chart or by its manifests."""
    if how == "manifests":
        return ("provision", "kueue", *kueue_manifests(folder, version))
    return ("provision", "kueue", "--asset", f"kueue@{version}")


def queue() -> list[Manifest]:
    """A queue for one CPU."""
    quota = {"name": "plain", "resources": [{"name": "cpu", "nominalQuota": 1}]}
    spec: Manifest = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [quota]}]}
    return [
        made(KUEUE, "ResourceFlavor", "plain", {}, place=""),
        made(KUEUE, "ClusterQueue", "users", spec, place=""),
        made(KUEUE, "LocalQueue", "users", {"clusterQueue": "users"}),
    ]


def job(name: str) -> Manifest:
    """A job that uses up most of the queue for a long time, so that there is place for one."""
    template = {"spec": pod_spec("sleep 3600", resources={"requests": {"cpu": "600m"}})}
    return made("batch/v1", "Job", name, {"suspend": True, "template": template}, queue="users")


def workload(cluster: Cluster, job: str) -> Manifest:
    """The Workload of a job, {} while there is none."""
    for one in cluster.api.list("Workload", PLACE):
        if any(owner["name"] == job for owner in dig(one, "metadata", "ownerReferences", default=[])):
            return one
    return {}


def admitted(cluster: Cluster, job: str) -> str:
    """The UID of a job's Workload and since when it is admitted; "" where it is not."""
    found = workload(cluster, job)
    told = condition(found, "Admitted") if found else None
    return f"{found['metadata']['uid']} {told['lastTransitionTime']}" if told and told["status"] == "True" else ""


def running(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Phase and restarts of each pod of users, by its UID."""
    return {
        str(one["metadata"]["uid"]): (
            str(dig(one, "status", "phase")),
            sum(int(each["restartCount"]) for each in dig(one, "status", "containerStatuses", default=[])),
        )
        for one in cluster.api.list("Pod", PLACE)
    }


def kill(cluster: Cluster, asked: Sequence[str]) -> float:
    """Begin an upgrade, and kill it at a random moment after it has begun to change something; that moment."""
    moment = MOMENTS.uniform(0, SPAN)
    with subprocess.Popen(
        command(cluster, *asked, "--upgrade"), cwd=ROOT, env=environment(cluster), stdout=subprocess.PIPE, text=True
    ) as begun:
        assert begun.stdout is not None
        said = [line for line in iter(begun.stdout.readline, "") if line.startswith("upgrading")][:1]
        try:
            begun.wait(moment)  # the moment is what is tried, nothing is waited for
        except subprocess.TimeoutExpired:
            os.kill(begun.pid, signal.SIGKILL)
    assert said, "the upgrade did not begin"
    return moment


@pytest.mark.parametrize("how", ["chart", "manifests"])
def test_a_killed_upgrade_is_finished_by_a_second_try(yours: Cluster, tmp_path: Path, how: str) -> None:
    """Red when a killed upgrade costs a job its quota or its pod, cannot be tried again, or leaves something."""
    before = everything(yours)
    call(yours, *words(how, tmp_path, OLD))
    with there(yours, *queue(), job("a")) as objects:
        wait(lambda: admitted(yours, "a"), bool, what="a to be admitted", timeout=SECONDS)
        wait(lambda: [one[0] for one in running(yours).values()], ["Running"].__eq__, what="its pod", timeout=SECONDS)
        with there(yours, job("b")):
            wait(lambda: bool(workload(yours, "b")), bool, what="b to be queued", timeout=SECONDS)
            _killed_and_finished(yours, words(how, tmp_path, NEW))
            assert "is a downgrade" in call(yours, *words(how, tmp_path, OLD), "--upgrade", code=2)
            assert "in use by" in call(yours, "remove", "kueue", code=2)
            objects.delete(Ref("batch/v1", "Job", PLACE, "a"))
            wait(lambda: admitted(yours, "b"), bool, what="b to get its turn under the new version", timeout=SECONDS)
    assert "the cluster is as before" in call(yours, "remove", "kueue")
    assert everything(yours) == before


def _killed_and_finished(yours: Cluster, newer: Sequence[str]) -> None:
    """Two upgrades are killed, the third comes to its end; what runs is not touched, and what waits stays out."""
    held = admitted(yours, "a"), running(yours)
    for _ in range(2):
        moment = kill(yours, newer)
        assert (admitted(yours, "a"), running(yours)) == held, f"killed after {moment:.1f} s"
        assert not admitted(yours, "b")
    said = call(yours, *newer, "--upgrade")
    assert (admitted(yours, "a"), running(yours)) == held, said
    assert f"v{NEW}" in call(yours, "status")


@pytest.mark.parametrize("how", ["chart", "manifests"])
def test_a_killed_upgrade_is_cleared_away(yours: Cluster, tmp_path: Path, how: str) -> None:
    """Red when a removal does not find what either of the two versions has made."""
    before = everything(yours)
    call(yours, *words(how, tmp_path, OLD))
    kill(yours, words(how, tmp_path, NEW))
    assert "the cluster is as before" in call(yours, "remove", "kueue")
    assert everything(yours) == before
