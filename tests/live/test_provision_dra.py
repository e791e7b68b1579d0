"""NVIDIA's DRA driver by its own chart on a cluster like a user's: installed, used, removed. Root only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest, dig
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster
from tests.live.test_provision import call, everything

POD = "with-a-gpu"
SCRIPT = "test -c /dev/nvidia0 -o -c /dev/nvidia1 && sleep 600"
CLAIM: Manifest = {
    "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "one", "namespace": "default"},
    "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}},
}  # fmt: skip
USER: Manifest = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": "default"},
    "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
        "resourceClaims": [{"name": "gpu", "resourceClaimName": "one"}],
        "containers": [{
            "name": "main", "image": "busybox:1.37", "command": ["sh", "-c", SCRIPT],
            "resources": {"claims": [{"name": "gpu"}]},
        }],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def with_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node with two fake GPUs, on which nothing is installed."""
    need_whole_cluster("helm", "nvidia-device-plugin", "nvidia-dra")
    with like_yours(directory=tmp_path_factory.mktemp("gpus"), nodes=1, gpus=("a100-40gb",) * 2) as up:
        yield up


def test_claims_get_gpus_and_keep_the_driver_until_they_go(with_gpus: Cluster) -> None:
    """Red when a claim gets no device, the driver is taken from under it, or something of the driver stays."""
    before = everything(with_gpus)
    call(with_gpus, "provision", "dra-driver")
    assert "would offer the same GPUs twice" in call(with_gpus, "provision", "device-plugin", code=2)
    for one in (CLAIM, USER):
        with_gpus.api.create(one)

    def phase() -> str:
        return str(dig(with_gpus.api.get("Pod", POD, "default"), "status", "phase", default=""))

    assert wait(phase, lambda now: now not in ("", "Pending"), what="the pod to run", timeout=60) == "Running"
    assert "in use by ResourceClaim default/one" in call(with_gpus, "remove", "dra-driver", code=2)
    with_gpus.api.delete("Pod", POD, "default")
    with_gpus.api.delete("ResourceClaim", "one", "default")
    for kind, name in (("Pod", POD), ("ResourceClaim", "one")):
        wait(
            lambda kind=kind, name=name: with_gpus.api.get(kind, name, "default"), lambda found: found is None,
            what=f"{kind} {name} to be gone", timeout=60,
        )  # fmt: skip
    said = call(with_gpus, "remove", "dra-driver")
    assert "the cluster is as before" in said and "left ResourceSlice" in said
    assert everything(with_gpus) == before
