"""A machine may have a kubelet and a containerd already: a real node of ours leaves them alone. Root only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.node import checks

ROOT = Path(__file__).parents[2]


def test_a_foreign_kubelet_and_containerd_are_not_touched(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Red when a node of ours changes a file of theirs, asks their sockets, or ends a process by its name."""
    if lack := checks.reason():
        pytest.skip(f"needs a real node: {lack}")
    cluster: Cluster = request.getfixturevalue("cluster")
    program = [sys.executable, "-m", "tests.cluster.beside_a_foreign_node", tmp_path / "foreign", cluster.directory]
    done = subprocess.run(
        ["unshare", "--mount", *program], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["touched: nothing"], done.stdout + done.stderr[-2000:]
