from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.toolchain import ToolchainError, cache, programs
from gpuassay.toolchain.component import Component
from tests.toolchain.fake import GO_MOD, FakeGo


def _other_version(toy: Component) -> Component:
    (toy.directory / "go.mod").write_text(GO_MOD.replace("v1.2.3", "v1.2.4"))
    return toy


def _other_comment(toy: Component) -> Component:
    (toy.directory / "go.mod").write_text(GO_MOD + "// why\n")
    return toy


def _other_sum(toy: Component) -> Component:
    (toy.directory / "go.sum").write_text("example.test/toy v1.2.3 h1:bbbb=\n")
    return toy


def _other_tags(toy: Component) -> Component:
    return replace(toy, tags=())


def _other_stamps(toy: Component) -> Component:
    return replace(toy, stamps={})


def _other_packages(toy: Component) -> Component:
    return replace(toy, packages={"one": "example.test/toy/one"})


@pytest.mark.parametrize(
    "change",
    [
        _other_version,
        _other_comment,
        _other_sum,
        _other_tags,
        _other_stamps,
        _other_packages,
    ],
    ids=["version", "go.mod", "go.sum", "tags", "stamps", "packages"],
)
def test_the_key_changes_with_every_input(toy: Component, change: Callable[[Component], Component]) -> None:
    before = cache.inputs(toy, "go1.26.6")
    after = cache.inputs(change(toy), "go1.26.6")
    assert before.key != after.key
    assert before.key_without_go != after.key_without_go


def test_the_key_changes_with_go_and_platform_and_with_nothing_else(toy: Component) -> None:
    here = cache.inputs(toy, "go1.26.6")
    assert here.key == cache.inputs(toy, "go1.26.6").key
    assert here.key != cache.inputs(toy, "go1.26.7").key
    assert here.key_without_go == cache.inputs(toy, "go1.26.7").key_without_go
    assert here.key != replace(here, platform="linux/riscv64").key


def test_a_missing_go_sum_is_named(toy: Component) -> None:
    (toy.directory / "go.sum").unlink()
    with pytest.raises(ToolchainError, match=r"go\.sum is missing"):
        cache.inputs(toy, "go1.26.6")


def _truncate(entry: Path) -> None:
    (entry / "one").write_text("")


def _remove(entry: Path) -> None:
    (entry / "deux").unlink()


def _flip(entry: Path) -> None:
    at = entry / "one"
    old = at.stat()
    at.write_bytes(bytes([at.read_bytes()[0] ^ 1]) + at.read_bytes()[1:])
    os.utime(at, ns=(old.st_atime_ns, old.st_mtime_ns + 1))


def _disarm(entry: Path) -> None:
    (entry / "one").chmod(0o644)


def _garble(entry: Path) -> None:
    (entry / "manifest.json").write_text("{")


def _strip(entry: Path) -> None:
    (entry / "manifest.json").write_text("{}")


def _empty(entry: Path) -> None:
    (entry / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [_truncate, _remove, _flip, _garble, _strip, _empty])
def test_a_damaged_entry_is_thrown_away_and_built_again_with_one_line(
    go: FakeGo, toy: Component, said: list[str], damage: Callable[[Path], None]
) -> None:
    entry = programs("toy", say=said.append).path("one").parent
    damage(entry)
    said.clear()
    again = programs("toy", say=said.append)
    assert again.source == "built from Go modules"
    assert [line for line in said if "damaged" in line] == [said[0]]
    assert said[0].startswith("the cached toy is damaged (")
    assert programs("toy", say=said.append).source == "cache"
    assert go.builds == 2


def test_a_program_without_its_execute_bit_is_damage(go: FakeGo, toy: Component, said: list[str]) -> None:
    entry = programs("toy", say=said.append).path("one").parent
    _disarm(entry)
    assert programs("toy", say=said.append).source == "built from Go modules"


def test_new_times_alone_are_no_damage(go: FakeGo, toy: Component, said: list[str]) -> None:
    # As after a cache was restored from an archive.
    first = programs("toy", say=said.append)
    for at in first.files.values():
        os.utime(at, (1, 1))
    assert programs("toy", say=said.append).source == "cache"
    assert go.builds == 1


def test_equal_size_and_time_are_believed_unless_all_is_verified(go: FakeGo, toy: Component, said: list[str]) -> None:
    at = programs("toy", say=said.append).path("one")
    old = at.stat()
    at.write_bytes(bytes([at.read_bytes()[0] ^ 1]) + at.read_bytes()[1:])
    os.utime(at, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert cache.load(at.parent)
    with pytest.raises(ToolchainError, match="its hash differs"):
        cache.load(at.parent, full=True)


def test_an_entry_that_was_moved_under_another_key_is_damage(go: FakeGo, toy: Component, said: list[str]) -> None:
    entry = programs("toy", say=said.append).path("one").parent
    moved = entry.rename(entry.parent / "0123456789abcdef0123")
    with pytest.raises(ToolchainError, match="describes another build"):
        cache.load(moved)


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.root() == tmp_path / "cache"
    monkeypatch.delenv("GPUASSAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "gpuassay"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.root() == tmp_path / "home" / ".cache" / "gpuassay"


def test_a_cache_that_cannot_be_written_is_one_line(
    go: FakeGo, toy: Component, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToolchainError, match=r"the cache directory .*file cannot be used: Not a directory"):
        programs("toy", say=print)
