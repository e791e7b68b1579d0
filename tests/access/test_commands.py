"""The same kubeconfig, the same line: `sweep`, `load` and pytest, and where a kubeconfig comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpuassay.access import kubeconfig as kubeconfigs
from gpuassay.access.kubeconfig import absolute, given, members
from gpuassay.cli import main
from gpuassay.cluster.existing import connect
from tests.access.apiserver import GOOD, Server, config, written
from tests.access.test_plugins import user
from tests.load.test_spread import plan_of

ROOT = Path(__file__).parents[2]


def by_pytest(*arguments: str, **environment: str) -> str:
    """The one line with which pytest ends."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/kueue", "-p", "no:cacheprovider", "--cluster", "existing", *arguments],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200", **environment}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stdout + ended.stderr
    [line] = [one for one in (ended.stdout + ended.stderr).splitlines() if "gpuassay: " in one]
    assert "Traceback" not in ended.stdout + ended.stderr
    return line.partition("gpuassay: ")[2]


BAD: dict[str, Any] = {
    "map": {"contexts": {"lab": {}}},
    "plugin": user("no-such-plugin"),
    "token": {"token": "S3CRET one"},
}


@pytest.mark.parametrize("case", BAD)
def test_one_line_for_all(tmp_path: Path, server: Server, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when one way in shows a traceback, or another sentence."""
    path = str(written(tmp_path, BAD[case] if case == "map" else config(server, BAD[case])))
    (tmp_path / "plan.json").write_bytes(plan_of(1).to_json())
    load = ["load", str(tmp_path / "plan.json"), str(tmp_path / "out"), "--image", "i", "--pods", "1"]
    said: list[str] = []
    for command in (["sweep"], load):
        assert main([*command, "--kubeconfig", path]) == 2
        out, err = capsys.readouterr()
        assert not out and err.startswith("gpuassay: ") and err.count("\n") == 1
        said.append(err.removeprefix("gpuassay: ").strip())
    said.append(by_pytest("--gpuassay-kubeconfig", path))
    assert len(set(said)) == 1 and "S3CRET" not in said[0]


def test_a_kubeconfig_of_the_environment(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red when $KUBECONFIG, a list in it, or its absence is not what it is for kubectl."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["sweep"]) == 2
    assert "which cluster? Give --kubeconfig FILE, or set KUBECONFIG" in capsys.readouterr().err
    assert "needs --gpuassay-kubeconfig FILE, or KUBECONFIG in the environment" in by_pytest()
    users = config(server, {"token": "S3CRET-refused"})
    clusters = {"clusters": users.pop("clusters")}
    listed = f"{written(tmp_path, users, 'users')}:{written(tmp_path, clusters, 'clusters')}"
    monkeypatch.setenv("KUBECONFIG", listed)
    assert main(["sweep"]) == 2
    assert "does not accept its credentials (401)" in capsys.readouterr().err
    assert "does not accept its credentials (401)" in by_pytest()
    assert str(given(None)) == listed and given("x") == Path("x").absolute()


def test_names_of_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert members("a:~/b::") == [tmp_path / "a", tmp_path / "b"]
    assert absolute("a:b") == Path(f"{tmp_path}/a:{tmp_path}/b")
    (tmp_path / "a:b").touch()
    assert members("a:b") == [tmp_path / "a:b"]


@pytest.mark.parametrize("host", ["127.0.0.1"])
def test_in_a_pod(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red when a run in a pod needs a kubeconfig, although the pod has an account."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kubeconfigs, "SERVICE_ACCOUNT", tmp_path)
    assert main(["sweep", "--kubeconfig", "in-cluster"]) == 2
    assert "KUBERNETES_SERVICE_HOST is not set, so this is no pod" in capsys.readouterr().err
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    assert main(["sweep"]) == 2
    assert f"{tmp_path}/ca.crt cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "ca.crt").write_bytes(server.ca)
    (tmp_path / "token").write_text(GOOD)
    assert given(None) == Path("in-cluster")
    api, name = connect("in-cluster")
    assert name == "in-cluster" and api.version["major"] == "1"
    api.close()
