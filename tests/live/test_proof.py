"""Each component is installed, used, left alone, killed and removed, and the cluster is as before. Root only.

Two kills each; more of them, and the times, by `python -m tests.live.proof --kills 10`. DAS' stub is tried by that
alone: on a cluster on which the other components had been tried its image was not found once; why is open.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.gateway import envoy
from tests.cluster.conftest import need_programs, need_whole_cluster
from tests.live.proof import TRIALS, like_a_users, prove, table

KILLS = 2


@pytest.fixture(scope="module")
def yours() -> Generator[Cluster]:
    """Two nodes with fake GPUs, and another tenant's objects."""
    need_whole_cluster("helm")
    with like_a_users() as up:
        yield up


@pytest.mark.parametrize("name", [name for name in TRIALS if name != "das-stub"])
def test_a_component_comes_and_goes_without_a_trace(yours: Cluster, tmp_path: Path, name: str) -> None:
    """Red when it does not work, is installed twice, is taken from its owner, or something of it stays after a kill."""
    need_programs(*TRIALS[name].needs)
    if name == "llmd":
        try:
            envoy.program()
        except ClusterError as error:
            pytest.skip(f"needs Envoy: {error}")
    row = prove(yours, name, tmp_path, kills=KILLS, seed=1)
    assert len(row.mended) == KILLS, table([row])
