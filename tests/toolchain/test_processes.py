"""What other processes do at the same time: build, wait, die."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tenacity

from gpuassay.toolchain import programs
from gpuassay.toolchain.catalogue import Component
from tests.toolchain.fake import FakeGo


def _start(toy: Component) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.toolchain.driver", str(toy.directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_root())


def _root() -> Path:
    return Path(__file__).parents[2]


def _alive(pid: int) -> bool:
    try:
        # A zombie is dead: whoever adopts it may be slow to say so.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_two_processes_build_once(go: FakeGo, toy: Component) -> None:
    go.hold()
    with _start(toy) as first:
        go.wait_until_building()
        with _start(toy) as second:
            assert second.stderr
            assert second.stderr.readline() == "another process is making toy: waiting for it\n"
            go.release()
            assert second.communicate(timeout=60)[0] == "cache\n"
        assert first.communicate(timeout=60)[0] == "built from Go modules\n"
    assert go.builds == 1


def test_a_killed_build_leaves_no_program_no_lock_and_no_compiler(
    go: FakeGo, toy: Component, clean_cache: Path
) -> None:
    go.hold()
    with _start(toy) as victim:
        compiler = go.wait_until_building()
        assert [at.name[:5] for at in (clean_cache / "programs" / "toy").iterdir()] == [".new-"]
        victim.kill()
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(10), wait=tenacity.wait_fixed(0.05), reraise=True):
        with attempt:
            assert not _alive(compiler), "the fake compiler outlives its killed parent"
    os.unlink(go.home / "hold")
    assert programs("toy", say=print).source == "built from Go modules"
    assert [at.name[:1] == "." for at in (clean_cache / "programs" / "toy").iterdir()] == [False]
