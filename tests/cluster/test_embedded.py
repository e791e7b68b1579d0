from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from gpuassay.cluster import base
from gpuassay.cluster import embedded as module
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.ports import free_ports
from gpuassay.manifest import dig
from gpuassay.waiting import wait

PARTS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}


def test_a_cluster_is_what_it_says(cluster: Cluster) -> None:
    assert set(cluster.processes) == PARTS
    assert cluster.component_died() is None
    assert cluster.has(base.FAKE_NODES, base.AUDIT_LOG, base.COMPONENT_LOGS, base.RESTART_COMPONENTS)
    parts = {part.name: part for part in cluster.components}
    assert set(parts) == PARTS
    assert all(len(part.sha256) == 64 and part.version.startswith("v") for part in parts.values())
    assert parts["kube-apiserver"].version == cluster.api.version["gitVersion"]
    assert {entry["by"] for entry in cluster.emulated} == {"KWOK"}


def test_the_audit_log_tells_the_components_apart(cluster: Cluster) -> None:
    assert cluster.audit_log is not None
    cluster.api.create({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "audited", "namespace": "default"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    })  # fmt: skip

    def users() -> set[str]:
        assert cluster.audit_log is not None
        lines = [json.loads(line) for line in cluster.audit_log.read_text().splitlines() if line.endswith("}")]
        return {line["user"]["username"] for line in lines}

    wanted = {"gpuassay", "system:serviceaccount:kube-system:job-controller", "system:kube-scheduler", "kwok"}
    wait(users, wanted.issubset, what="all writers in the audit log", timeout=20)
    cluster.api.delete("Job", "audited", "default")


def test_nodes_can_be_added(cluster: Cluster) -> None:
    names = cluster.add_nodes(3, gpus=4, labels={"pool": "b"}, allocatable={"nvidia.com/mig-1g.5gb": "7"}, prefix="mig")
    assert len(names) == len(set(names)) == 3
    node = cluster.api.get("Node", names[0])
    assert node is not None
    assert dig(node, "status", "allocatable", "nvidia.com/gpu") == "4"
    assert dig(node, "status", "allocatable", "nvidia.com/mig-1g.5gb") == "7"
    assert [n["metadata"]["name"] for n in cluster.api.list("Node", label_selector="pool=b")] == sorted(names)
    cluster.remove_nodes(names)
    assert cluster.api.list("Node", label_selector="pool=b") == []


def test_a_component_that_dies_is_noticed_with_its_last_lines(tmp_path: Path, programs: None) -> None:
    with embedded(directory=tmp_path, nodes=0) as cluster:
        cluster.processes["kube-scheduler"].kill(expected=False)
        death = wait(cluster.component_died, lambda found: found is not None, what="the death", timeout=5)
        assert death is not None
        assert (death.component, death.exit_code) == ("kube-scheduler", -9)
        assert 0 < len(death.lines) <= 30
    assert not any(process.alive for process in cluster.processes.values())
    assert not (tmp_path / "etcd").exists()
    assert (tmp_path / "logs" / "kube-apiserver.log").exists()


def test_an_apiserver_that_dies_while_it_starts_is_told_in_its_own_words(tmp_path: Path, programs: None) -> None:
    with (
        pytest.raises(ClusterError, match=r"(?s)kube-apiserver died .exit code 1.*Nonsense"),
        embedded(directory=tmp_path, feature_gates={"Nonsense": True}),
    ):
        pass


def test_a_port_lost_between_choice_and_bind_is_replaced(
    tmp_path: Path, programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    with socket.create_server(("127.0.0.1", 0)) as thief:
        stolen = thief.getsockname()[1]

        def ports(count: int) -> list[int]:
            found = free_ports(count)
            # first etcd's port is lost, then the API server's
            if len(asked) < 2:
                found[0 if not asked else 2] = stolen
            asked.append(found)
            return found

        monkeypatch.setattr(module, "free_ports", ports)
        with embedded(directory=tmp_path, nodes=0) as cluster:
            assert len(asked) == 3
            assert cluster.component_died() is None
            assert str(asked[2][2]) in cluster.kubeconfig.read_text()


def test_five_side_by_side_and_stopped_in_order(tmp_path: Path, programs: None) -> None:
    with ExitStack() as stack:

        def up(number: int) -> tuple[Cluster, ExitStack]:
            own = ExitStack()
            return own.enter_context(embedded(directory=tmp_path / str(number), audit=False)), own

        with ThreadPoolExecutor(5) as pool:
            started = list(pool.map(up, range(5)))
        for _, own in started:
            stack.enter_context(own)
        clusters = [cluster for cluster, _ in started]
        assert len({cluster.name for cluster in clusters}) == 5
        for number, cluster in enumerate(clusters):
            cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"only-{number}"}})
        for number, cluster in enumerate(clusters):
            names = {o["metadata"]["name"] for o in cluster.api.list("Namespace")}
            assert {name for name in names if name.startswith("only-")} == {f"only-{number}"}
    for cluster in clusters:
        assert cluster.component_died() is None, "the API server was stopped after its store"
        # 0: a clean end; -15: no handler was installed yet; never -9: nobody had to be killed
        codes = {name: process.exit_code for name, process in cluster.processes.items()}
        assert codes["kube-apiserver"] == 0, codes
        assert codes["etcd"] in (0, -15), codes


def test_a_folder_with_data_is_refused(tmp_path: Path, programs: None) -> None:
    (tmp_path / "etcd").mkdir()
    with pytest.raises(ClusterError, match="already holds a cluster's data"), embedded(directory=tmp_path):
        pass


def test_an_older_version_is_imitated(tmp_path: Path, programs: None) -> None:
    with embedded(directory=tmp_path, nodes=0, emulated_version="1.35") as cluster:
        assert cluster.api.version["emulationMinor"] == "35"
