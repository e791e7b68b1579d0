from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.node import checks
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.component import Kueue
from gpuassay.toolchain import native
from gpuassay.toolchain.catalogue import WHOLE
from gpuassay.toolchain.errors import ToolchainError
from gpuassay.toolchain.progress import silent


def need_programs(*components: str) -> None:
    """Skip, with the reason that the toolchain gives, where programs would have to be built first."""
    for component in components:
        if reason := toolchain.available(component):
            pytest.skip(f"needs programs: {reason}")


def need_whole_cluster(*components: str) -> None:
    """Skip where this machine can have no whole cluster, or `components` would have to be built first."""
    if lack := checks.reason():
        pytest.skip(f"needs real nodes: {lack}")
    need_programs(*WHOLE, *components)
    try:
        for tool in native.TOOLS:
            native.tool(tool, silent)
    except ToolchainError as error:
        pytest.skip(f"needs tools of the system: {error}")


@pytest.fixture(scope="session")
def programs() -> None:
    need_programs("controlplane", "kwok")


@pytest.fixture(scope="session")
def cluster(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with embedded(directory=tmp_path_factory.mktemp("cluster")) as up:
        yield up


@pytest.fixture(scope="session")
def queueing(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kueue]:
    need_programs("kueue", "kustomize")
    folder: Path = tmp_path_factory.mktemp("kueue")
    with embedded(directory=folder) as up, kueue.install(up) as installed:
        yield installed
