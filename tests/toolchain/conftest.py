from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuassay.toolchain.catalogue import COMPONENTS, Component
from tests.toolchain import fake
from tests.toolchain.fake import FakeGo

_NAMED_BY_USERS = ("KUBEBUILDER_ASSETS", "GPUASSAY_ASSET_", "TEST_ASSET_", "GOPROXY", "GOCACHE")


@pytest.fixture(autouse=True)
def clean_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of programs, and nothing that the user of this machine has set."""
    for name in os.environ:
        if name.startswith(_NAMED_BY_USERS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    installed = fake.install(tmp_path / "gohome")
    monkeypatch.setenv("PATH", f"{installed.home}{os.pathsep}{os.environ['PATH']}")
    return installed


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    made = fake.component(tmp_path / "toy")
    monkeypatch.setitem(COMPONENTS, "toy", made)
    return made


@pytest.fixture
def said() -> list[str]:
    return []
