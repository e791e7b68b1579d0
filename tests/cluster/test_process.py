from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpuassay.cluster.process import Process, Supervisor, start
from gpuassay.waiting import wait

SHELL = "/bin/sh"


def shell(script: str, log: Path, name: str = "child") -> Process:
    return start(name, [SHELL, "-c", script], log)


def gone(pid: int) -> bool:
    """Whether a process is gone or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except OSError:
        return True


def said(process: Process, word: str) -> None:
    wait(process.tail, lambda lines: word in lines, what=f"{word!r} in the log", timeout=10)


def test_both_outputs_go_to_the_log(tmp_path: Path) -> None:
    child = shell("echo out; echo err >&2", tmp_path / "log")
    wait(lambda: child.alive, lambda alive: not alive, what="the end", timeout=10)
    assert sorted(child.tail()) == ["err", "out"]
    assert child.exit_code == 0


def test_the_tail_holds_only_this_start(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("earlier\n")
    child = shell("for i in 1 2 3 4; do echo $i; done", tmp_path / "log")
    wait(lambda: child.alive, lambda alive: not alive, what="the end", timeout=10)
    assert child.tail() == ["1", "2", "3", "4"]
    assert child.tail(2) == ["3", "4"]


def test_a_death_nobody_asked_for_is_kept_with_the_last_lines(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.start("sick", [SHELL, "-c", "echo ouch; exit 7"], tmp_path / "log")
    death = wait(supervisor.death, lambda found: found is not None, what="the death to be noticed", timeout=10)
    assert death is not None
    assert (death.component, death.exit_code, death.lines) == ("sick", 7, ["ouch"])
    assert str(death).splitlines()[0] == "sick died (exit code 7); its last lines:"


def test_a_stop_is_no_death(tmp_path: Path) -> None:
    supervisor = Supervisor()
    child = supervisor.start("child", [SHELL, "-c", "exec sleep 100"], tmp_path / "log")
    supervisor.stop("child")
    assert not child.alive
    assert supervisor.death() is None


def test_a_killed_child_that_was_replaced_is_old_news(tmp_path: Path) -> None:
    supervisor = Supervisor()
    child = supervisor.start("child", [SHELL, "-c", "exec sleep 100"], tmp_path / "log")
    child.kill(expected=False)
    wait(supervisor.death, lambda found: found is not None, what="the death to be noticed", timeout=10)
    supervisor.forget("child")
    supervisor.start("child", [SHELL, "-c", "exec sleep 100"], tmp_path / "log")
    assert supervisor.death() is None
    supervisor.stop("child", grace=0)


def test_who_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = shell("trap '' TERM; echo ready; while :; do sleep 1; done", tmp_path / "log")
    said(child, "ready")
    child.stop(grace=0.2)
    assert child.exit_code == -9


def test_grandchildren_go_with_the_group(tmp_path: Path) -> None:
    child = shell("sleep 100 & echo $!; echo ready; wait", tmp_path / "log")
    said(child, "ready")
    grandchild = int(child.tail()[0])
    child.stop(grace=0)
    wait(lambda: gone(grandchild), bool, what="the grandchild to be gone", timeout=5)


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    made: list[Process] = []
    thread = threading.Thread(target=lambda: made.append(shell("echo ready; exec sleep 100", tmp_path / "log")))
    thread.start()
    thread.join()
    said(made[0], "ready")
    # the kernel sends the death signal while the thread is torn down: two looks apart are enough to see it
    wait(lambda: made[0].alive, bool, what="the child to live on", timeout=5, successes=5)
    made[0].stop(grace=0)


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tool: .*/nothing is not a program that can be run"):
        start("tool", [tmp_path / "nothing"], tmp_path / "log")


def test_kill_minus_nine_of_the_parent_takes_the_child_along(tmp_path: Path) -> None:
    source = (
        "import sys,time,pathlib;from gpuassay.cluster.process import start;"
        "p=start('child',['/bin/sleep','100'],pathlib.Path(sys.argv[1]));print(p.pid,flush=True);time.sleep(100)"
    )
    command = [sys.executable, "-c", source, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    wait(lambda: gone(child), bool, what="the child to be gone", timeout=5)


def test_usage_is_read_while_it_lives(tmp_path: Path) -> None:
    child = shell("exec sleep 100", tmp_path / "log")
    assert (child.resident_bytes() or 0) > 0
    assert child.cpu_seconds() is not None
    child.stop(grace=0)
    assert child.cpu_seconds() is None
    assert not os.path.exists(f"/proc/{child.pid}")


def test_a_child_is_replaced_by_another_program_with_its_arguments(tmp_path: Path) -> None:
    """Red when arguments, log or environment are lost, or the end of the old one counts as a death."""
    other = tmp_path / "other"
    other.write_text('#!/bin/sh\necho "other $1 $MARK"; exec sleep 100\n')
    other.chmod(0o755)
    supervisor = Supervisor()
    old = supervisor.start("child", [SHELL, "-c", "exec sleep 100"], tmp_path / "log", env={"MARK": "here"})
    new = supervisor.replace("child", other, grace=1)
    said(new, "other -c here")
    assert supervisor.processes["child"] is new and not old.alive and supervisor.death() is None
    supervisor.stop("child")
    with pytest.raises(KeyError):
        supervisor.replace("nobody", other)
