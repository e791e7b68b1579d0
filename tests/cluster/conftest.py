from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.component import Kueue


def need_programs(*components: str) -> None:
    """Skip, with the reason that the toolchain gives, where programs would have to be built first."""
    for component in components:
        if reason := toolchain.available(component):
            pytest.skip(f"needs programs: {reason}")


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
