"""A real node as a component: what it offers, what it refuses, what it leaves alone. Root only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.real import Node, real_node
from gpuassay.manifest import dig
from gpuassay.waiting import wait
from gpuassay.workloads import containers

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """What of the host a node might change."""
    return {"forwarding": FORWARDING.read_text()}


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest, before: dict[str, str]) -> Iterator[Node]:
    if lack := checks.reason():
        pytest.skip(f"needs a real node: {lack}")
    cluster: Cluster = request.getfixturevalue("cluster")
    with real_node(cluster, "tried", labels={"nvidia.com/mig.capable": "true"}) as up:
        yield up


def phase(node: Node, pod: str) -> str:
    return str(dig(node.cluster.api.get("Pod", pod, "default") or {}, "status", "phase", default=""))


def test_an_image_has_the_name_that_a_manifest_wants(node: Node) -> None:
    """Red when a manifest's own image name is looked for in a registry."""
    name = "registry.invalid/somebody/tool:v9"
    node.import_image(node.workload_image(name))
    pod = containers.pod("named", "default", node=node.name, containers=[
        {"name": "main", "image": name, "imagePullPolicy": "Never", "args": ["exit", "0"]},
    ])  # fmt: skip
    node.cluster.api.create(pod)
    wait(lambda: phase(node, "named"), lambda seen: seen == "Succeeded", what="the pod to end", timeout=60)


def test_a_command_inside_sees_the_node_and_not_the_host(node: Node) -> None:
    """Red when something inside shares PIDs, network or hostname with the host."""
    assert node.call("hostname").strip() == "tried"
    assert node.addresses.node in node.call("ip", "-brief", "address")
    assert node.addresses.interface not in node.call("ip", "-brief", "link")
    assert node.paths.at("/etc").is_dir()
    assert (node.paths.device_plugins / "kubelet.sock").is_socket()


def test_the_address_of_a_node_stays_when_pods_come(node: Node) -> None:
    """Red when the bridge takes over the hardware address of a pod's cable: the host then asks the kubelet in vain."""

    def hardware_address() -> str:
        return json.loads(node.call("ip", "-json", "link", "show", "cni0"))[0]["address"]

    before = hardware_address()
    node.call("ip", "link", "add", "pod", "address", "00:00:00:00:00:01", "type", "veth", "peer", "name", "its-end")
    try:
        node.call("ip", "link", "set", "pod", "master", "cni0")
        assert hardware_address() == before
    finally:
        node.call("ip", "link", "del", "pod")


def test_a_command_that_fails_is_one_line(node: Node) -> None:
    with pytest.raises(ClusterError, match=r"^cat on node tried failed \(1\): .*No such file") as refused:
        node.call("cat", "/nowhere")
    assert "\n" not in str(refused.value)


def test_a_full_disk_is_one_line(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when an image that cannot be written ends in a traceback of another kind."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpuassay.cluster.node.image.write_archive", full)
    with pytest.raises(ClusterError, match="images for node tried cannot be written: No space left on device"):
        node.import_image(node.workload_image("a:1"))


def test_a_full_disk_of_containerd_is_one_line(node: Node) -> None:
    """Red when containerd's own words for a full disk get lost, or an image cannot be had once there is room again."""
    content = node.cluster.directory / "node-tried/containerd/io.containerd.content.v1.content"
    known = node.workload_image("a:2")
    wanted = replace(known, files=(("/elsewhere", known.files[0][1]),))  # bytes that containerd does not have yet
    node.call("mount", "-t", "tmpfs", "-o", "size=64k", "full", content)
    try:
        node.call("mkdir", "-p", content / "ingest", content / "blobs/sha256")
        full = r"^ctr on node tried failed \(1\): .*no space left on device$"
        with pytest.raises(ClusterError, match=full):
            node.import_image(wanted)
    finally:
        node.call("umount", content)
    node.import_image(wanted)


def test_a_second_node_of_one_name_and_odd_names_are_refused(node: Node) -> None:
    with pytest.raises(ClusterError, match="has a node 'tried' already"), real_node(node.cluster, "tried"):
        pass
    for name in ("", "Upper", "-dash", "a" * 41, "dot.dot"):
        with pytest.raises(ClusterError, match="cannot be a node's name"), real_node(node.cluster, name):
            pass


def test_a_kubelet_that_refuses_its_configuration_is_told_in_its_words(node: Node) -> None:
    """Red when a wrong setting ends as a time-out."""
    with (
        pytest.raises(ClusterError, match="kubelet died") as refused,
        real_node(node.cluster, "wrong", settings={"maxPods": -5}),
    ):
        pass
    assert "MaxPods" in str(refused.value) or "maxPods" in str(refused.value)


def test_the_host_is_left_alone(node: Node, before: dict[str, str]) -> None:
    """Red when a node mounts something on the host or changes how the host forwards packets."""
    assert node.object() is not None
    ours = [line for line in Path("/proc/mounts").read_text().splitlines() if str(node.cluster.directory) in line]
    assert not ours
    assert FORWARDING.read_text() == before["forwarding"]
