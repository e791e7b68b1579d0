"""A fake API server and a live view on it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gpuassay.record.live import LiveView
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from tests.record.fake_api import PATH, FakeApi, fake_api, kubeconfig

PODS = (Resource("Pod", PATH, optional=True),)

OpenView = Callable[[], LiveView]


@pytest.fixture
def api() -> Generator[FakeApi]:
    with fake_api() as server:
        yield server


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def open_view(api: FakeApi, tmp_path: Path, spool: Path) -> Generator[OpenView]:
    """Starts the recorder when called, so that a test can prepare the server first."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(live_recorder(kubeconfig(api, tmp_path), spool, resources=PODS))
