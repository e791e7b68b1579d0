"""A cluster that `kind` makes for a run, and that goes with it. Kind is a stand-in here: no Docker, no kind itself."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cluster.conftest import need_whole_cluster
from tests.live import kind_standin as standin
from tests.live.conftest import QUICK, ROOT, LiveSuite


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The stand-in as a program `kind`; gives its folder. Its clusters do not outlive the test."""
    place, folder = tmp_path / "bin", tmp_path / "kind"
    place.mkdir()
    folder.mkdir()
    source = Path(__file__).parent / "kind_standin.py"
    (place / "kind").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {source} "$@"\n')
    (place / "kind").chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    monkeypatch.setenv("KIND_STANDIN", str(folder))
    yield folder
    monkeypatch.setattr(standin, "HERE", folder)
    for left in folder.glob("*/pid"):
        standin.delete(left.parent.name)


@pytest.fixture
def small(tmp_path: Path) -> LiveSuite:
    """A small suite: a Job that Kueue admits."""
    suite = LiveSuite(tmp_path / "project")
    suite.write(QUICK)
    return suite


def test_a_run_on_a_cluster_of_kind(kind: Path, small: LiveSuite, tmp_path: Path) -> None:
    """Red when nothing is judged there, images are not loaded, or the cluster outlives the run."""
    need_whole_cluster("helm", "kueue", "nvidia-device-plugin")
    archive = tmp_path / "image.tar"
    archive.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIND_STANDIN_UP", "--like-yours --nodes 1 --gpus a100-40gb*2")
        outcome = small.run(
            "--cluster", "kind", "--kueue", "install", "--device-plugin", "install", "--kind-load", str(archive),
            "--kind-node-image", "kindest/node:v1.36.0",
        )  # fmt: skip
    assert outcome.states == {"demo.live.finishes": "PASS", "demo.live.once": "PASS"}, outcome.output
    asked = (kind / "asked").read_text().splitlines()
    name = f"gpuassay-{outcome.run.resolve().name}"
    assert [one.split(" --kubeconfig")[0] for one in asked] == [
        "get clusters", f"create cluster --name {name}", f"load image-archive {archive} --name {name}",
        f"delete cluster --name {name}",
    ]  # fmt: skip
    assert "--image kindest/node:v1.36.0" in asked[1]
    assert not list(kind.glob("*/pid")) and not (outcome.run / "kubeconfig-kind").exists()
    assert not (outcome.run / "leaks.txt").exists()


def test_without_a_container_runtime_it_is_a_typed_skip(kind: Path, small: LiveSuite) -> None:
    """Red when the lack of Docker is an error, or a skip that does not say what is lacking."""
    (kind / "refuses").write_text(
        'ERROR: failed to list clusters: exec: "docker": executable file not found in $PATH\n'
    )
    outcome = small.run("--cluster", "kind", "--kueue", "install", "-rs")
    assert set(outcome.states.values()) == {"SKIP"}, outcome.output
    assert "program:kind" in outcome.output and '"docker": executable file not found' in outcome.output
