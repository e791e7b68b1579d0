from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect, existing


def refused(kubeconfig: Path, context: str | None = None) -> str:
    with pytest.raises(ClusterError) as error:
        connect(kubeconfig, context)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture
def config(cluster: Cluster) -> dict[str, Any]:
    return json.loads(cluster.kubeconfig.read_text())


def written(tmp_path: Path, config: dict[str, Any]) -> Path:
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    return path


def test_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").endswith("none does not exist")


@pytest.mark.parametrize("text", ["{", "a: b: c", "\tx", "\0"])
def test_no_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    assert "cannot be read" in refused(tmp_path / "config")


@pytest.mark.parametrize("text", ["", "[]", "{}", "contexts: []", "hello"])
def test_no_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    assert "has no contexts: is it a kubeconfig?" in refused(tmp_path / "config")


def test_a_wrong_context_is_told_with_the_right_ones(tmp_path: Path, config: dict[str, Any]) -> None:
    path = written(tmp_path, config)
    assert f"has no context 'other'; it has {config['current-context']}" in refused(path, "other")
    del config["current-context"]
    assert "has no current context: choose one of embedded-" in refused(written(tmp_path, config))


def test_a_context_that_leads_nowhere(tmp_path: Path, config: dict[str, Any]) -> None:
    config["contexts"][0]["context"]["cluster"] = "missing"
    assert "cannot be used" in refused(written(tmp_path, config))


def test_nobody_answers(tmp_path: Path, config: dict[str, Any]) -> None:
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    message = refused(written(tmp_path, config))
    assert "cannot be reached" in message
    assert "refused" in message


def test_credentials_that_are_not_accepted(tmp_path: Path, config: dict[str, Any]) -> None:
    config["users"][0]["user"] = {"token": "expired"}
    assert "does not accept its credentials (401)" in refused(written(tmp_path, config))


def test_a_server_that_is_not_trusted(tmp_path: Path, config: dict[str, Any], cluster: Cluster) -> None:
    other = cluster.directory / "pki" / "front-proxy-ca.crt"
    config["clusters"][0]["cluster"]["certificate-authority"] = str(other)
    assert "certificate verify failed" in refused(written(tmp_path, config)).lower()


def test_somebodys_cluster_is_not_changed(tmp_path: Path, cluster: Cluster) -> None:
    with existing(directory=tmp_path, kubeconfig=cluster.kubeconfig) as seen:
        assert seen.capabilities == {base.FAKE_NODES, base.GPU_NODES}
        assert seen.api.version == cluster.api.version
        assert seen.name == cluster.name
        assert seen.audit_log is None
        assert not seen.processes
        assert seen.component_died() is None
        with pytest.raises(ClusterError, match="no fake nodes may be added"):
            seen.add_nodes(1)
        with pytest.raises(ClusterError, match="has no identity 'kueue'"):
            seen.kubeconfig_for("kueue")
    with existing(directory=tmp_path, kubeconfig=cluster.kubeconfig, allow_mutation=True) as ours:
        assert base.CLUSTER_WIDE in ours.capabilities
