"""A cluster like the user's: Services, names, pods of different nodes, images by name, and a host left alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.images import Source
from gpuassay.cluster.whole.cluster import whole_cluster
from gpuassay.manifest import Manifest, dig
from gpuassay.waiting import wait
from gpuassay.workloads import containers
from tests.cluster.conftest import need_whole_cluster

IMAGE = "registry.example/tools/workload:v1"
SECONDS = 60.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need_whole_cluster()
    program = toolchain.programs("workload").path("workload")
    source = Source((IMAGE,), {"/workload": program}, ("/workload",))
    with whole_cluster(directory=tmp_path_factory.mktemp("whole"), nodes=2, sources=[source]) as up:
        yield up


def run(
    cluster: Cluster,
    node: str,
    *args: str,
    image: str = IMAGE,
    labels: dict[str, str] | None = None,
    container: Manifest | None = None,
    **more: object,
) -> str:
    """Create a pod; its name."""
    name = f"pod-{secrets.token_hex(3)}"
    main: Manifest = {"name": "main", "image": image, "imagePullPolicy": "Always", "args": list(args)}
    made = containers.pod(name, "default", node=node, containers=[main | (container or {})])
    made["metadata"]["labels"] = dict(made["metadata"].get("labels") or {}) | (labels or {})
    made["spec"] |= more
    cluster.api.create(made)
    return name


def pod(cluster: Cluster, name: str) -> Manifest:
    return cluster.api.get("Pod", name, "default") or {}


def said(cluster: Cluster, name: str) -> str:
    """What a pod printed until it ended well."""

    def over() -> str:
        return str(dig(pod(cluster, name), "status", "phase", default=""))

    phase = wait(over, {"Succeeded", "Failed"}.__contains__, what=f"{name} to end", timeout=SECONDS)
    log = cluster.api.raw(f"/api/v1/namespaces/default/pods/{name}/log")
    assert phase == "Succeeded", log
    return log


def test_a_pod_reaches_a_service_whose_pod_is_on_another_node(whole: Cluster) -> None:
    """Red when names, Service addresses or the way between nodes are missing."""
    server = run(whole, "node-1", "serve", "80", "--", "wait", labels={"app": "server"})
    whole.api.create({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": "default"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80}]},
    })  # fmt: skip
    wait(lambda: dig(pod(whole, server), "status", "phase"), lambda one: one == "Running", what="it", timeout=SECONDS)
    for node in ("node-1", "node-2"):
        assert said(whole, run(whole, node, "get", "http://server.default.svc.cluster.local/")).strip() == "200 ok"


def test_a_pod_that_asks_its_own_service_is_answered(whole: Cluster) -> None:
    """Red when packets from a pod to itself by a Service's address are lost."""
    whole.api.create({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "own", "namespace": "default"},
        "spec": {"selector": {"app": "own"}, "publishNotReadyAddresses": True, "ports": [{"port": 80}]},
    })  # fmt: skip
    steps = ("serve", "80", "--", "sleep", "3s", "--", "get", "http://own/")
    assert said(whole, run(whole, "node-2", *steps, labels={"app": "own"})).strip() == "200 ok"


def test_programs_in_pods_find_the_api_server_as_everywhere(whole: Cluster) -> None:
    """Red when the in-cluster configuration needs a special case: name, certificate, account."""
    for node in ("node-1", "node-2"):
        assert said(whole, run(whole, node, "api", "/version")).startswith("200 ")


def test_what_a_pod_writes_into_the_host_path_goes_with_the_node(whole: Cluster) -> None:
    """Red when a pod reaches the file system of the machine."""
    for base in ("/etc", "/opt", "/home", "/usr/local", "/var/tmp", "/tmp", "/root"):
        if not Path(base).is_dir():
            continue
        at = f"{base}/gpuassay-{secrets.token_hex(4)}"
        volume = {"name": "v", "hostPath": {"path": at, "type": "DirectoryOrCreate"}}
        container = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        said(whole, run(whole, "node-1", "touch", "/v/proof", volumes=[volume], container=container))
        node = whole.real_nodes["node-1"]
        assert node.paths.at(f"{at}/proof").exists()
        assert not Path(at).exists(), f"{at} was made on the machine"


def test_an_image_that_is_not_there_cannot_be_pulled(whole: Cluster) -> None:
    """Red when a wrong version runs something else, or the reason cannot be seen."""
    name = run(whole, "node-1", "print", "no", image=IMAGE.replace(":v1", ":v2"))

    def reason() -> str:
        states = dig(pod(whole, name), "status", "containerStatuses", default=[{}])
        return str(dig(states[0], "state", "waiting", "message", default=""))

    told = wait(reason, lambda text: "not found" in text, what="the reason", timeout=SECONDS)
    assert "registry.example/tools/workload:v2" in told
