"""Components on somebody's cluster: installed, used, removed, and what else is there left alone. Root only.

The cluster is one like the user's, reached by nothing but its kubeconfig, from other processes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from gpuassay.provision.objects import Objects
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster

ROOT = Path(__file__).parents[2]
SECONDS = 400.0
TENANT: tuple[Manifest, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant", "labels": {"team": "theirs"}}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": "tenant"},
        "data": {"a": "b"},
    },
)


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with fake GPUs and another tenant's objects."""
    need_whole_cluster("helm", "kueue", "nvidia-device-plugin")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1, gpus=("a100-40gb",) * 2) as up:
        for one in TENANT:
            up.api.create(one)
        yield up


def command(cluster: Cluster, *words: str) -> list[str]:
    return [sys.executable, "-m", "gpuassay", *words, "--kubeconfig", str(cluster.kubeconfig)]


def call(cluster: Cluster, *words: str, code: int = 0) -> str:
    """Run a command as a user does; what it printed."""
    done = subprocess.run(
        command(cluster, *words), capture_output=True, text=True, cwd=ROOT, timeout=SECONDS, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def everything(cluster: Cluster) -> dict[tuple[str, str, str, str], Manifest]:
    """All objects but those that come and go by themselves."""
    snapshot = Objects(cluster.api).snapshot()
    return {key: one for key, one in snapshot.items() if key[1] not in ("Pod", "ReplicaSet")}


def test_a_platform_is_installed_used_and_taken_away_without_a_trace(yours: Cluster) -> None:
    """Red when a component does not work after its installation, or the cluster is not as before its removal."""
    before = everything(yours)
    assert call(yours, "status").count("absent") >= 2
    plan = call(yours, "provision", "kueue", "device-plugin", "--plan")
    assert plan.count("will be installed") == 2
    assert everything(yours) == before
    call(yours, "provision", "kueue", "device-plugin")
    said = call(yours, "status")
    assert said.count("ours (run ") == 2 and "does not work" not in said
    assert "used as it is, ours" in call(yours, "provision", "kueue")
    said = call(yours, "remove", "kueue", "device-plugin")
    assert said.count("the cluster is as before") == 2, said
    assert everything(yours) == before


def test_what_is_in_use_is_not_removed_behind_its_users(yours: Cluster) -> None:
    """Red when somebody's queue goes with our Kueue without a word, or --force hangs on its finalizer."""
    before = everything(yours)
    call(yours, "provision", "kueue")
    queue: Manifest = {
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ClusterQueue", "metadata": {"name": "theirs"}, "spec": {},
    }  # fmt: skip
    Objects(yours.api).api.request("post", "/apis/kueue.x-k8s.io/v1beta2/clusterqueues", queue)
    assert "in use by ClusterQueue theirs" in call(yours, "remove", "kueue", code=2)
    assert "does not work" not in call(yours, "status")
    call(yours, "remove", "kueue", "--force")
    assert everything(yours) == before


@pytest.mark.parametrize("moment", [0.3, 0.9])
def test_a_killed_installation_is_removed_by_its_inventory(yours: Cluster, moment: float) -> None:
    """Red when something of a killed run stays that `remove` does not find."""
    before = everything(yours)
    with subprocess.Popen(command(yours, "provision", "kueue"), cwd=ROOT, stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        for line in begun.stdout:
            if line.startswith("installing"):
                break
        time.sleep(random.Random(moment).uniform(0, 12) * moment)  # a random moment, not a wait
        os.kill(begun.pid, signal.SIGKILL)
    if "nothing here is ours" not in call(yours, "remove"):
        call(yours, "remove", "kueue", "--force")
    assert everything(yours) == before


def test_what_a_killed_run_has_changed_is_brought_back(yours: Cluster, tmp_path: Path) -> None:
    """Red when a run that is killed within a profile leaves Kueue with that, and `remove RUN` does not undo it."""
    before = everything(yours)
    call(yours, "provision", "kueue")
    installed, found = everything(yours), configuration(yours)
    words = ["suites/kueue/test_mig_credits.py", "--cluster", "existing", "--run-dir", str(tmp_path / "runs")]
    run = [sys.executable, "-m", "pytest", *words, "--gpuassay-kubeconfig", str(yours.kubeconfig)]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL) as begun:
        wait(lambda: configuration(yours), lambda now: now != found, what="another profile", timeout=SECONDS)
        os.kill(begun.pid, signal.SIGKILL)
    [name] = [one.name for one in (tmp_path / "runs").iterdir() if one.is_dir() and not one.is_symlink()]
    assert f"kueue: changed by run {name}" in call(yours, "remove")
    assert "is undone" in call(yours, "remove", name)
    assert configuration(yours) == found
    call(yours, "sweep", name)
    assert everything(yours) == installed
    call(yours, "remove", "kueue")
    assert everything(yours) == before


def configuration(cluster: Cluster) -> str:
    """Kueue's configuration as it stands there."""
    [held] = [
        one for one in cluster.api.list("ConfigMap", "kueue-system") if "manager-config" in one["metadata"]["name"]
    ]
    return str(held["data"])


def test_what_somebody_else_has_installed_is_used_and_never_changed(yours: Cluster) -> None:
    """Red when a foreign installation is changed, replaced or removed."""
    call(yours, "provision", "kueue")
    yours.api.delete("ConfigMap", "kueue", "gpuassay")  # from now on nothing says that it is ours
    installed = everything(yours)
    try:
        assert "somebody else's: v0.19.2" in call(yours, "status")
        assert "used as it is, somebody else's" in call(yours, "provision", "kueue")
        assert "is not replaced" in call(yours, "provision", "kueue", "--reinstall", code=2)
        assert "was not installed by gpuassay" in call(yours, "remove", "kueue", code=2)
        assert everything(yours) == installed
    finally:
        uninstall(yours)


def uninstall(cluster: Cluster) -> None:
    """Remove Kueue as its owner would, in the wrong order: its namespace first. Then have that mended."""
    cluster.api.delete("Namespace", "kueue-system")

    def managers() -> list[Manifest]:
        return cluster.api.list("Pod", "kueue-system")

    wait(managers, lambda pods: not pods, what="the manager to end", timeout=120, delay=1)

    said = call(cluster, "remove", "--force", "kueue")
    assert "APIService" in said and "MutatingWebhookConfiguration" in said
