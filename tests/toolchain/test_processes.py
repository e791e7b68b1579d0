"""What other processes do at the same time: build, wait, die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tenacity

from gpuassay.toolchain import ToolchainError, halting, programs
from gpuassay.toolchain.component import Component
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


WAITING = """
import sys
from pathlib import Path
from gpuassay import cli
from tests.toolchain import fake
fake.register(Path(sys.argv.pop()))
sys.exit(cli.main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_waits_for_another_build_can_be_ended(go: FakeGo, toy: Component, number: signal.Signals) -> None:
    """Red when a signal is obeyed only once the other process has built."""
    go.hold()
    with _start(toy) as first:
        go.wait_until_building()
        command = [sys.executable, "-c", WAITING, "build", "toy", str(toy.directory)]
        try:
            # whoever runs the tests may ignore SIGHUP, as `nohup` does, and children would too
            with subprocess.Popen(
                command, stderr=subprocess.PIPE, text=True, cwd=_root(),
                preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
            ) as second:  # fmt: skip
                assert second.stderr
                assert second.stderr.readline() == "another process is making toy: waiting for it\n"
                second.send_signal(number)
                assert second.communicate(timeout=20)[1] == "gpuassay: interrupted\n"
                assert second.returncode == 130
        finally:
            go.release()
        assert first.communicate(timeout=60)[0] == "built from Go modules\n"


def test_a_thread_that_waits_for_another_build_is_ended_with_its_run(go: FakeGo, toy: Component) -> None:
    """Red when a run that is broken off waits for the build of another process: no signal reaches its threads."""
    go.hold()
    with _start(toy) as first, ThreadPoolExecutor(1) as pool:
        go.wait_until_building()
        waiting = threading.Event()
        wanted = pool.submit(programs, "toy", None, lambda _: waiting.set())
        try:
            assert waiting.wait(20)
            halting.halt("the run was broken off")
            with pytest.raises(ToolchainError, match="waiting for another process that makes toy: the run was broken"):
                wanted.result(timeout=20)
        finally:
            halting.resume()
            go.release()
        assert first.communicate(timeout=60)[0] == "built from Go modules\n"


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
