from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.toolchain import ToolchainError, UnobtainableError, available, build, cache, module_dir, programs
from gpuassay.toolchain.catalogue import COMPONENTS, Component
from tests.toolchain.fake import FakeGo


def test_a_build_is_kept_and_the_second_call_asks_go_for_its_version_alone(
    go: FakeGo, toy: Component, said: list[str]
) -> None:
    assert available("toy") is not None
    first = programs("toy", say=said.append)
    assert (first.source, first.version) == ("built from Go modules", "v1.2.3")
    assert first.path("deux").read_text().endswith("echo two v1.2.3\n")
    assert len(said) == 1
    assert said[0].startswith("building toy v1.2.3 with go1.26.6: 2 of 3 packages to compile, about ")
    go.forget_calls()
    second = programs("toy", say=said.append)
    assert (second.source, second.files, second.sha256) == ("cache", first.files, first.sha256)
    assert second.sha256["one"] == cache.file_sha256(second.path("one"))
    assert available("toy") is None
    assert module_dir("toy", "example.test/toy") == go.home / "src"
    assert set(go.calls) == {"env GOVERSION"}


def test_go_is_called_with_readonly_modules_and_the_flags_of_the_component(go: FakeGo, toy: Component) -> None:
    programs("toy", say=print)
    call = next(call for call in go.calls if call.startswith("build"))
    stamps = "-X main.version=v1.2.3 -X main.minor=2"
    assert call.startswith(f"build -v -trimpath -gcflags=all=-dwarf=false -tags fast -ldflags -s -w {stamps} -o ")
    assert call.endswith("/ example.test/toy/one example.test/toy/cmd/two/v3")


def test_programs_of_one_package_are_one_file_under_several_names(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if the control plane is linked once for each of its names, or a name is missing."""
    both = replace(toy, packages=dict.fromkeys(("alpha", "beta"), "example.test/toy/one"))
    monkeypatch.setitem(COMPONENTS, "toy", both)
    got = programs("toy", say=print)
    assert {at.resolve().name for at in got.files.values()} == {"one"}
    assert set(got.files) == {"alpha", "beta"}
    assert len(set(got.sha256.values())) == 1
    assert next(call for call in go.calls if call.startswith("build")).endswith("/ example.test/toy/one")
    assert programs("toy", say=print).source == "cache"


def test_another_go_makes_another_entry_and_without_go_any_matching_entry_serves(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    programs("toy", say=said.append)
    go.set_version("go1.26.7")
    newer = programs("toy", say=said.append)
    assert newer.source == "built from Go modules"
    monkeypatch.setenv("PATH", "/nowhere")
    os.utime(newer.path("one").parent)
    assert programs("toy", say=said.append).files == newer.files


def test_a_program_that_is_not_there_is_named(go: FakeGo, toy: Component) -> None:
    with pytest.raises(ToolchainError, match="toy has no program 'three'; it has one, deux"):
        programs("toy", say=print).path("three")


@pytest.mark.parametrize(
    ("complaint", "kind", "message"),
    [
        (
            "go: a.b/c@v1: write /x/y: no space left on device",
            ToolchainError,
            r"no space left while building toy: a cold build needs 6 GiB \(GOCACHE, GPUASSAY_CACHE and TMPDIR",
        ),
        (
            'go: a.b/c@v1: Get "https://proxy.test/a.b/c": dial tcp: lookup proxy.test: no such host',
            UnobtainableError,
            r"Go modules of toy cannot be downloaded: .*no such host",
        ),
        (
            "go: a.b/c@v1: reading https://proxy.test/a.b/c/@v/v1.zip: 403 Forbidden",
            UnobtainableError,
            r"cannot be downloaded: .*403 Forbidden",
        ),
        ("# a.b/c\nc.go:1:2: syntax error: unexpected EOF", ToolchainError, r"toy does not build: c\.go:1:2: syntax"),
    ],
    ids=["ENOSPC", "no registry", "refused", "compiler"],
)
def test_a_failed_build_is_one_line_and_leaves_nothing(
    go: FakeGo, toy: Component, clean_cache: Path, complaint: str, kind: type[Exception], message: str
) -> None:
    go.fail_with(complaint)
    with pytest.raises(kind, match=message) as caught:
        programs("toy", say=print)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert list((clean_cache / "programs" / "toy").iterdir()) == []


def test_too_little_space_for_a_cold_build_is_said_before_it(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch, clean_cache: Path
) -> None:
    def nearly_full(_: Path) -> int:
        return 2**30

    monkeypatch.setattr(cache, "free_bytes", nearly_full)
    programs("toy", say=print)  # two packages: warm, so that no space is asked for
    cache.discard(next((clean_cache / "programs" / "toy").iterdir()))
    monkeypatch.setattr(build, "_COLD_PACKAGES", 0)
    with pytest.raises(ToolchainError, match=r"needs 6 GiB, but Go's build cache at .* has 1\.0 GiB free: .*GOCACHE"):
        programs("toy", say=print)
    assert go.builds == 1


def test_what_interrupted_builds_left_is_removed_by_the_next(go: FakeGo, toy: Component, clean_cache: Path) -> None:
    home = clean_cache / "programs" / "toy"
    stale = home / f".new-{cache.inputs(toy, 'go1.26.6').key}-abc"
    stale.mkdir(parents=True)
    (stale / "one").write_text("half")
    other = home / ".new-ffffffffffffffffffff-xyz"
    other.mkdir()
    programs("toy", say=print)
    assert not stale.exists()
    assert other.exists(), "another key may be under way: its own lock holder cleans up"
