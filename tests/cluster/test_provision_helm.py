"""How helm is called, with a stand-in for it. No cluster is needed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.helm import Chart, Helm
from gpuassay.toolchain import programs
from gpuassay.toolchain.errors import ToolchainError
from tests.cluster.conftest import need_programs
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


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helm:
    """Helm itself, of our toolchain; the values of its one chart are rendered into a ConfigMap."""
    need_programs("helm")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: chart, version: 0.19.2}")
    (chart / "values.yaml").write_text("{a: 0, b: 0}")
    (chart / "templates" / "all.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: all}, data: {a: '{{ .Values.a }}', b: '{{ .Values.b }}'}}"
    )
    return helm(tmp_path)


def test_helm_itself_takes_values_from_its_input(real: Helm, tmp_path: Path) -> None:
    """Red when our values get lost, or count more than the user's."""
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text("b: 2")
    (one,) = real.render(Chart(str(tmp_path / "chart"), "it", "there", {"a": 1, "b": 1}, files=(theirs,)))
    assert one["data"] == {"a": "1", "b": "2"}


def test_a_chart_of_another_version_is_refused(real: Helm, tmp_path: Path) -> None:
    """Red when a version that a folder does not have is passed over, as helm does by itself."""
    folder = str(tmp_path / "chart")
    assert real.render(Chart(folder, "it", "there", {}, version="v0.19.2"))
    with pytest.raises(ClusterError, match=r"is of version 0\.19\.2, not 9\.9\.9: leave out its version, or name"):
        real.render(Chart(folder, "it", "there", {}, version="9.9.9"))


@pytest.mark.parametrize(("content", "words"), [("a: [", "yaml"), ("- a", "cannot unmarshal")])
def test_values_that_are_none_are_told_in_one_line(real: Helm, tmp_path: Path, content: str, words: str) -> None:
    """Red when broken values are passed over, or told by a page."""
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(content)
    with pytest.raises(ClusterError, match=rf"^helm template failed \(1\): .*{words}") as refused:
        real.render(Chart(str(tmp_path / "chart"), "it", "there", {}, files=(theirs,)))
    assert "\n" not in str(refused.value) and str(theirs) in str(refused.value)


class Releases:
    """Helm's own Secrets on a cluster, by name, with the status that each is of."""

    def __init__(self, **statuses: str) -> None:
        self.statuses = statuses

    def list(self, kind: str, namespace: str, label_selector: str) -> list[dict[str, object]]:
        """Those whose status the selector names."""
        assert (kind, namespace) == ("Secret", "there") and label_selector.startswith("owner=helm,name=it,")
        wanted = label_selector.partition("(")[2].rstrip(")").split(",")
        return [{"metadata": {"name": name}} for name, status in self.statuses.items() if status in wanted]

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """It is gone."""
        assert (kind, namespace) == ("Secret", "there")
        del self.statuses[name]


def test_what_a_killed_upgrade_has_left_pending_is_forgotten(program: Path, tmp_path: Path) -> None:
    """Red when helm's lock of a killed upgrade stands in the way of the next, or a sound revision is forgotten."""
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n')
    one = helm(tmp_path)
    releases = Releases(v1="superseded", v2="deployed", v3="pending-upgrade")
    one._cluster.api = cast("Api", releases)  # pyright: ignore[reportPrivateUsage]
    one.upgrade(CHART)
    assert releases.statuses == {"v1": "superseded", "v2": "deployed"}
    assert (tmp_path / "asked").read_text().startswith("upgrade it some/chart --namespace there ")


def test_an_installation_that_was_not_finished_is_not_upgraded(program: Path, tmp_path: Path) -> None:
    """Red when helm is asked to upgrade what it has never installed."""
    program.write_text("#!/bin/sh\nexit 1\n")
    one = helm(tmp_path)
    one._cluster.api = cast("Api", Releases(v1="pending-install"))  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ClusterError, match=r"^there is no release it whose installation has come to its end$"):
        one.upgrade(CHART)
