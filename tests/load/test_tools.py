"""Programs of others: none of their processes stays behind, and their failure is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gpuassay
from benchmarks.adapters import warden
from benchmarks.adapters.tool import run_tool
from gpuassay.load.engine import carry_out
from gpuassay.load.errors import LoadError
from gpuassay.load.realtime import GENERATOR, REALTIME, USUAL, realtime
from gpuassay.waiting import wait
from tests.load.servers import DONE, plan_for, serving, stream, token
from tests.load.test_guidellm import plan

WORKERS = """
import os, sys, time
from pathlib import Path
if os.fork() == 0:
    os.fork()
    Path(sys.argv[1], str(os.getpid())).touch()
    while True: time.sleep(100)
Path(sys.argv[1], str(os.getpid())).touch()
while True: time.sleep(100)
"""


def gone(pid: int) -> bool:
    """Whether it has ended (a zombie that nobody waits for has, too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_of_a_tool_end_with_us_whatever_ends_us(tmp_path: Path, number: signal.Signals) -> None:
    # red when: only the first process of a tool is killed: GuideLLM's ten workers would go on
    ours = (
        "import sys; from pathlib import Path; from benchmarks.adapters.tool import run_tool;"
        "from tests.load.test_guidellm import plan;"
        "run_tool('t', [sys.executable, '-c', sys.argv[2], sys.argv[1]], plan(), Path(sys.argv[3]), cwd=Path('/'))"
    )
    seen = tmp_path / "pids"
    seen.mkdir()
    root = str(Path(gpuassay.__path__[0]).parent)
    command = [sys.executable, "-c", ours, str(seen), WORKERS, str(tmp_path / "log")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root}) as us:
        try:
            pids = wait(
                lambda: [int(path.name) for path in seen.iterdir()],
                lambda found: len(found) == 3,
                what="a tool of three processes",
                timeout=60,
            )
        finally:
            us.send_signal(number)
            us.wait(20)
    wait(lambda: [pid for pid in pids if not gone(pid)], lambda left: not left, what="all to end", timeout=20)


def test_a_tool_that_fails_is_one_line_with_its_last_words(tmp_path: Path) -> None:
    words = "print('no such model'); raise SystemExit(3)"
    with pytest.raises(LoadError, match=r"^t ended with exit code 3: no such model$"):
        run_tool("t", [sys.executable, "-c", words], plan(), tmp_path / "log", cwd=tmp_path)
    with pytest.raises(LoadError, match="exit code 137"):
        run_tool(
            "t", [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], plan(), tmp_path / "log", cwd=tmp_path
        )
    assert warden.__file__


def test_real_time_scheduling_ends_with_its_block_and_is_told() -> None:
    # red when: a test process stays under SCHED_FIFO, or the head says what is not so
    before = os.sched_getscheduler(0)
    with realtime(GENERATOR) as told:
        assert (os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO) == (told == REALTIME)
    assert os.sched_getscheduler(0) == before
    with realtime(GENERATOR, wanted=False) as told:
        assert told == USUAL and os.sched_getscheduler(0) == before
    with serving(lambda sock, _: sock.sendall(stream(token(), DONE))) as (url, _):
        assert USUAL in carry_out(plan_for(url, 1, realtime=False)).head.generator
    assert os.sched_getscheduler(0) == before
