"""What a cluster is said to be, and what is said of a Kueue that died in it. Root only; by kubeconfig alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.discovery.discover import discover
from gpuassay.engine.discovered import every_rule
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster

ROOT = Path(__file__).parents[2]
SECONDS = 10.0
"""How long discovery may take."""


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with two fake GPUs that nobody offers yet."""
    need_whole_cluster("helm", "kueue", "nvidia-device-plugin")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1, gpus=("a100-40gb",) * 2) as up:
        yield up


def call(cluster: Cluster, *words: str, code: int = 0) -> str:
    """Run a command as a user does; what it printed."""
    command = [sys.executable, "-m", "gpuassay", *words, "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=400, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_gpus_are_told_with_who_offers_them(yours: Cluster) -> None:
    """Red when discovery overlooks GPUs, two at once, or takes long."""
    began = time.monotonic()
    found = discover(yours.api, every_rule())
    assert time.monotonic() - began < SECONDS
    assert found.distribution.name == "gpuassay up" and found.missing_rights == ()
    assert not found.unreadable
    assert [one.offered_by for one in found.gpus or ()] == [()]
    call(yours, "provision", "device-plugin")
    [one] = list(discover(yours.api).gpus or ())
    assert (one.per_node, one.offered_by, one.allocatable) == (2, ("device plugin",), (("nvidia.com/gpu", "2"),))
    device: Manifest = {"name": "gpu-0", "attributes": {"type": {"string": "gpu"}}}
    yours.api.create({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "twice"},
        "spec": {"driver": "gpu.nvidia.com", "nodeName": "node-1", "devices": [device],
                 "pool": {"name": "node-1", "generation": 1, "resourceSliceCount": 1}},
    })  # fmt: skip
    assert "device plugin and DRA at once" in " ".join(call(yours, "status").split())
    yours.api.delete("ResourceSlice", "twice")
    call(yours, "remove", "device-plugin")


def test_a_dead_kueue_is_named_by_the_doctor_and_mended_by_what_it_says(yours: Cluster) -> None:
    """Red when a dead webhook or API goes unseen, or what the doctor advises does not make the cluster sound."""
    assert "nothing is wrong with this cluster" in call(yours, "doctor", "--cluster", "existing")
    call(yours, "provision", "kueue")
    assert "nothing is wrong with this cluster" in call(yours, "doctor", "--cluster", "existing")
    yours.api.delete("ConfigMap", "kueue", "gpuassay")  # from now on it is somebody else's
    yours.api.delete("Deployment", "kueue-controller-manager", "kueue-system")
    pods = "Kueue's pods to be gone"
    wait(lambda: yours.api.list("Pod", "kueue-system"), lambda some: not some, what=pods, timeout=60, delay=0.2)
    ends = "/apis/discovery.k8s.io/v1/namespaces/kueue-system/endpointslices"  # they lag behind the pods
    wait(lambda: yours.api.raw(ends), lambda told: '"ready":true' not in told, what=pods, timeout=60, delay=0.2)
    said = call(yours, "doctor", "--cluster", "existing", code=1)
    for name in ("ValidatingWebhookConfiguration kueue-", "MutatingWebhookConfiguration kueue-", "APIService v1beta2."):
        assert name in said
    assert said.count("gpuassay remove --force kueue") == len(said.splitlines())
    call(yours, "remove", "--force", "kueue")
    assert "nothing is wrong with this cluster" in call(yours, "doctor", "--cluster", "existing")
