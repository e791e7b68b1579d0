"""Hands of a pod, as a process of this machine: what they start, and who answers in its place."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import OWN_ENVIRONMENT, http, own_program
from gpuassay.systems.llmd.pods.hands import wait_for_a_client
from gpuassay.waiting import wait


@dataclass
class Pod:
    """Hands that run.

    Attributes:
        control: port at which they are asked.
        way: port of those who answer.
        process: theirs.
    """

    control: int
    way: int
    process: subprocess.Popen[bytes]

    def ask(self, path: str, **asked: Any) -> dict[str, Any]:
        """What they say to a question, with the status in `status`."""
        url = f"http://127.0.0.1:{self.control}/{path}"
        answer = http().post(url, json=asked, timeout=10) if asked else http().get(url, timeout=10)
        return {"status": answer.status_code, **answer.json()}


@contextmanager
def hands(folder: Path) -> Generator[Pod]:
    """Hands for the length of a `with` block."""
    control, way = free_ports(2)
    command = own_program("hands", "--scratch", folder, "--control", control, "--way", way)
    process = subprocess.Popen(command, env={**os.environ, **OWN_ENVIRONMENT})
    pod = Pod(control, way, process)

    def answers() -> bool:
        try:
            return pod.ask("state")["status"] == 200
        except requests.RequestException:
            return False

    try:
        wait(answers, bool, what="hands", timeout=20)
        yield pod
    finally:
        process.terminate()
        process.wait(10)


def test_a_program_is_started_killed_and_started_again(tmp_path: Path) -> None:
    """Red when a program that runs is started twice, an exit code is not the program's, or its environment is lost."""
    told = tmp_path / "told"
    script = "import os, sys, time; open(sys.argv[1], 'a').write(os.environ['WORD']); time.sleep(600)"
    argv = [sys.executable, "-c", script, str(told)]
    with hands(tmp_path) as pod:
        nothing = {"status": 200, "running": False, "exit": None, "pid": None, "stopped": False}
        assert pod.ask("state") == nothing
        assert pod.ask("start", argv=argv, env={"WORD": "one"})["running"]
        wait(told.exists, bool, what="the program to run", timeout=10)
        assert pod.ask("start", argv=argv, env={"WORD": "two"})["status"] == 409
        killed = pod.ask("signal", number=int(signal.SIGKILL), wait=5)
        assert (killed["running"], killed["exit"]) == (False, -9)
        assert pod.ask("start", argv=argv, env={"WORD": "three"})["running"]
        wait(told.read_text, "onethree".__eq__, what="the second start", timeout=10)


def test_a_start_is_told_from_another_and_from_one_that_is_stopped(tmp_path: Path) -> None:
    """Red when a program that was started anew behind a scenario's back, or that a signal holds, looks as before."""
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    with hands(tmp_path) as pod:
        first = pod.ask("start", argv=argv)["pid"]
        pod.ask("signal", number=int(signal.SIGSTOP), wait=0)
        wait(lambda: pod.ask("state")["stopped"], bool, what="it to be stopped", timeout=10)
        pod.ask("signal", number=int(signal.SIGCONT), wait=0)
        wait(lambda: pod.ask("state")["stopped"], (False).__eq__, what="it to go on", timeout=10)
        pod.ask("signal", number=int(signal.SIGKILL), wait=5)
        assert pod.ask("start", argv=argv)["pid"] != first


def test_a_program_beside_another_starts_and_ends_with_it(tmp_path: Path) -> None:
    """Red when a sidecar is left behind, or holds its port against the next start."""
    script = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()} '); time.sleep(600)"
    one, other = tmp_path / "one", tmp_path / "other"

    def argv(told: Path) -> list[str]:
        return [sys.executable, "-c", script, str(told)]

    def there(told: Path) -> list[str]:
        return told.read_text().split() if told.exists() else []

    with hands(tmp_path) as pod:
        for starts in (1, 2):
            assert pod.ask("start", argv=argv(one), beside=argv(other))["running"]
            wait(lambda: (len(there(one)), len(there(other))), (starts, starts).__eq__, what="both", timeout=10)
            pod.ask("signal", number=int(signal.SIGKILL), wait=5)
            last = there(other)[-1]
            wait(lambda last=last: gone(int(last)), bool, what="the other's end", timeout=10)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except OSError:
        return True


def test_a_program_that_may_not_be_run_where_it_is_runs_as_a_copy(tmp_path: Path) -> None:
    """Red when an image that is mounted without the right to run it is useless."""
    program, scratch = tmp_path / "image" / "program", tmp_path / "scratch"
    program.parent.mkdir()
    scratch.mkdir()
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o644)
    with hands(scratch) as pod:
        assert pod.ask("start", argv=[str(program)])["status"] == 200
        wait(lambda: pod.ask("state")["exit"], (7).__eq__, what="its end", timeout=10)
        assert pod.ask("start", argv=["/nowhere"])["status"] == 409


def test_the_program_ends_with_its_hands(tmp_path: Path) -> None:
    """Red when a program outlives its pod, suspended or not."""
    pid = tmp_path / "pid"
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with hands(tmp_path) as pod:
        pod.ask("start", argv=[sys.executable, "-c", script, str(pid)], env={})
        number = int(wait(lambda: pid.read_text() if pid.exists() else "", bool, what="its number", timeout=10))
        pod.ask("signal", number=int(signal.SIGSTOP))
    assert not Path(f"/proc/{number}").exists()


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.upper())


def test_a_server_elsewhere_answers_at_a_port_of_the_pod(tmp_path: Path) -> None:
    """Red when bytes get lost on the way, a second client finds nobody, or the port stays open afterwards."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    (port,) = free_ports(1)
    ended = threading.Event()
    with hands(tmp_path) as pod:
        assert pod.ask("expose", port=port)["status"] == 200
        for _ in range(2):
            wait_for_a_client(pod.way, ("127.0.0.1", server.server_port), ended)
        for word in ("one", "two", "x" * 300_000):
            with http() as session:
                answer = session.post(f"http://127.0.0.1:{port}/", data=word, timeout=10)
                assert answer.text == word.upper()
        ended.set()
        assert pod.ask("expose", port=0)["status"] == 200
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    server.shutdown()
    server.server_close()
