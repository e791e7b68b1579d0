"""C libraries: the machine's own, else Debian's package unpacked into the cache, else one line. No network."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.toolchain import UnobtainableError, native

SAID: list[str] = []


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path / "cache"))
    SAID.clear()
    return tmp_path


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Only these programs are on PATH."""
    for name, script in scripts.items():
        tool(tmp_path / "bin", name.replace("_", "-"), script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_no_library_needs_nothing() -> None:
    assert native.environment((), SAID.append) == {}


def test_a_library_of_the_machine_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch, pkg_config="exit 0")
    assert native.environment(("libseccomp",), SAID.append) == {}
    assert not SAID


def test_without_pkg_config_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch)
    (tmp_path / "bin").mkdir()
    with pytest.raises(UnobtainableError, match="needs pkg-config"):
        native.environment(("libseccomp",), SAID.append)


def test_without_apt_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch, pkg_config="exit 1")
    with pytest.raises(UnobtainableError, match=r"so is apt-get to fetch it with: install libseccomp-dev"):
        native.environment(("libseccomp",), SAID.append)


def test_a_refused_download_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(
        tmp_path, monkeypatch, pkg_config="exit 1", apt_get="echo E: no such package >&2; exit 100", dpkg_deb="exit 0"
    )
    with pytest.raises(UnobtainableError, match=r"E: no such package\): install libseccomp-dev"):
        native.environment(("libseccomp",), SAID.append)
    assert not list((tmp_path / "cache").glob(".new-*"))


def test_a_package_is_unpacked_once_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the compiler is not told where the library lies, or it is fetched at every build."""
    place = "files/usr/lib/somewhere/pkgconfig"
    tools(
        tmp_path, monkeypatch, pkg_config="exit 1",
        apt_get=f"echo fetched >> {tmp_path}/calls; : > lib.deb",
        dpkg_deb=f"/bin/mkdir -p {place}; : > {place}/libseccomp.pc",
    )  # fmt: skip
    found = [native.environment(("libseccomp",), SAID.append) for _ in range(2)][-1]
    root = tmp_path / "cache" / "native"
    assert found == {
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "PKG_CONFIG_LIBDIR": str(root / "usr/lib/somewhere/pkgconfig"),
        "CGO_LDFLAGS": f"-g -O2 -L{root / 'usr/lib/somewhere'}",
    }
    assert (tmp_path / "calls").read_text() == "fetched\n"
    assert len(SAID) == 1
