"""How helm is called, with a stand-in for it. No cluster is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.helm import Chart, Helm
from gpuassay.toolchain import programs
from gpuassay.toolchain.errors import ToolchainError
from tests.cluster.served import served

CHART = Chart("some/chart", "it", "there", {"a": 1})


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `helm`; gives its file, which tests write anew."""
    file = tmp_path / "bin" / "helm"
    file.parent.mkdir()
    file.touch()
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")
    return file


def helm(folder: Path, kubeconfig: str = "kubeconfig") -> Helm:
    cluster = Cluster("lab", "existing", Path(kubeconfig), served(), folder, frozenset(), context="lab")
    return Helm(cluster, None, folder / "values")


def test_without_helm_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the lack of helm is told by a traceback."""

    def none(*asked: object) -> None:
        raise ToolchainError(f"there is no {asked[0]}")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(f"{programs.__module__.rpartition('.')[0]}.programs", none)
    with pytest.raises(ClusterError, match=r"there is none: install helm \(there is no helm\)"):
        helm(tmp_path)


def test_helm_is_told_in_its_own_last_words(program: Path, tmp_path: Path) -> None:
    """Red when helm's refusal gets lost, or it is asked of another cluster than ours."""
    program.write_text('#!/bin/sh\necho "WARNING: something" >&2\necho "Error: $*: no such chart" >&2\nexit 1\n')
    with pytest.raises(ClusterError, match=r"^helm install failed \(1\): Error: .*: no such chart$") as refused:
        helm(tmp_path).install(CHART)
    file = tmp_path / "kubeconfig"
    assert "\n" not in str(refused.value) and "--kube-context lab" in str(refused.value)
    with pytest.raises(ClusterError, match=f"--kubeconfig {file} "):
        helm(tmp_path, str(file)).install(CHART)


def test_several_kubeconfigs_reach_helm_as_a_list(program: Path, tmp_path: Path) -> None:
    """Red when helm takes the list for the name of one file."""
    program.write_text('#!/bin/sh\necho "Error: $KUBECONFIG: $*" >&2\nexit 1\n')
    with pytest.raises(ClusterError, match="Error: /a/one:/a/two: ") as refused:
        helm(tmp_path, "/a/one:/a/two").install(CHART)
    assert "--kubeconfig" not in str(refused.value)


def test_values_reach_helm_by_no_file_of_ours(program: Path, tmp_path: Path) -> None:
    """Red when values, which may hold secrets, lie in a file that a killed run leaves, or the user's count less."""
    program.write_text('#!/bin/sh\necho "Error: $(cat) by $*" >&2\nexit 1\n')
    chart = Chart("some/chart", "it", "there", {"password": "s3cret"}, files=(Path("theirs.yaml"),))
    with pytest.raises(ClusterError, match=r'Error: {"password": "s3cret"} by .*--values - --values theirs.yaml'):
        helm(tmp_path).install(chart)
    assert [one for one in tmp_path.rglob("*") if one.is_file() and "s3cret" in one.read_text()] == []
