from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gpuassay.silicon import ENVIRONMENT, Silicon, available, library
from gpuassay.silicon.client import Nvml


@pytest.fixture(scope="session")
def fake_library() -> Path:
    reason = available()
    if reason:
        pytest.skip(reason)
    return library()


class Bench:
    """The fake library in this process: one state after the other."""

    def __init__(self, library: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.library, self.state = library, folder / "state"
        self._patch, self._stack = patch, ExitStack()
        patch.setenv(ENVIRONMENT, str(self.state))

    def open(self, models: tuple[str, ...] = ("a100-40gb",), *, unique_uuids: bool = True) -> tuple[Silicon, Nvml]:
        self.close()
        silicon = Silicon.create(self.state, models, unique_uuids=unique_uuids)
        nvml = Nvml(self.library)
        self._stack.callback(silicon.close)
        self._stack.callback(nvml.close)
        return silicon, nvml

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def bench(fake_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(fake_library, tmp_path, monkeypatch)
    yield made
    made.close()
