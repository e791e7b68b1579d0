"""Slices of somebody's cluster, judged by a kubeconfig alone: a sound one holds, a broken one is refuted. Root only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.engine.like_yours import like_yours
from gpuassay.verdict import State
from tests.cluster.conftest import need_whole_cluster

ROOT = Path(__file__).parents[2]
SECONDS = 900.0
PLUGIN = "suites/slices/test_life.py"
NOT_FROM_OUTSIDE = "slices.life.silicon"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node with two fake GPUs, cut as the GPU Operator's all-balanced."""
    need_whole_cluster("helm", "nvidia-device-plugin")
    folder = tmp_path_factory.mktemp("cut")
    with like_yours(directory=folder, nodes=1, gpus=("a100-40gb",) * 2, mig=("all-balanced",)) as up:
        yield up


def judged(cluster: Cluster, folder: Path, *words: str) -> dict[str, str]:
    """State of each behaviour of the device plugin's slices, by id."""
    command = [
        sys.executable, "-m", "pytest", PLUGIN, "-q", "-p", "no:cacheprovider", "-k", "device-plugin", "--no-recorded",
        "--cluster", "existing", "--gpuassay-kubeconfig", str(cluster.kubeconfig), "--device-plugin", "install",
        "--run-dir", str(folder), *words,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    verdicts = next(folder.glob("*/verdicts.jsonl"), None)
    assert verdicts is not None, done.stdout + done.stderr
    rows = [json.loads(line) for line in verdicts.read_text().splitlines()]
    return {row["behaviour"].partition("[")[0]: row["state"] for row in rows}


def test_slices_that_were_cut_beforehand_are_judged(cut: Cluster, tmp_path: Path) -> None:
    """Red when a sound cluster is refuted, or nothing of it is judged."""
    states = judged(cut, tmp_path)
    assert states.pop(NOT_FROM_OUTSIDE) == State.SKIP
    assert set(states.values()) == {State.PASS} and len(states) == 5, states


def test_a_cluster_that_names_all_containers_one_slice_is_refuted(cut: Cluster, tmp_path: Path) -> None:
    """Red when a container that is told another's slice passes for a sound one."""
    states = judged(cut, tmp_path, "--mutant", "one-name-for-all")
    assert states["slices.life.identity"] == states["slices.life.granted"] == State.FAIL, states
