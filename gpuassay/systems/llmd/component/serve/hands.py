"""Hands in a pod: starts one upstream program, and does to it what a test asks for, while the pod and its address stay.

Run as `python -m gpuassay.systems.llmd.component.serve.hands`, the only container of a model server's pod; the program
comes from its own image, mounted as a volume. It is asked over HTTP on loopback, which only `portforward` reaches:

- GET /state, POST /start {"argv", "env", "files", "beside"}, where `beside` is another program that starts and ends
  with the first one, POST /signal {"number", "wait"}; all answer {"running", "exit", "pid", "stopped"}
- POST /expose {"port"}: what connects to that port of the pod is handed to whoever waits at port `WAY`, so that a
  server of another machine answers in the pod's place; {"port": 0} ends that
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

CONTROL, WAY = 7999, 7998
"""Loopback ports: of what is asked, and of those who answer in the pod's place."""
PYTHON = "python"
"""As a program: the interpreter that runs these hands."""
PATIENCE = 5.0
"""Seconds that a connection waits for somebody who answers."""
_BLOCK = 1 << 16


class Hands:
    """One program, one beside it, and one port that somebody else may answer at."""

    def __init__(self, scratch: Path) -> None:
        """`scratch`: a folder from which programs may be run."""
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._beside: subprocess.Popen[bytes] | None = None
        self._exposed: socket.socket | None = None
        self._waiting: SimpleQueue[socket.socket] = SimpleQueue()
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """Whether the program runs, its latest exit code (negative: signal), its pid, and whether it is stopped."""
        process = self._process
        code = None if process is None else process.poll()
        running = process is not None and code is None
        pid = process.pid if process is not None else None
        return {"running": running, "exit": code, "pid": pid, "stopped": running and _stopped(pid)}

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, str], beside: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Write files into the scratch folder and start the program; its output is the container's.

        `beside`: another program, which takes every signal that the first one takes.

        Raises:
            ValueError: it runs already.
            OSError: it cannot be run.
        """
        with self._lock:
            if self.state()["running"]:
                raise ValueError("it runs already")
            for name, content in files.items():
                (self._scratch / name).write_text(content)
            self._end_beside()
            self._process = self._begun(argv, env)
            if beside:
                self._beside = self._begun(beside, env)
            return self.state()

    def _begun(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        program = sys.executable if argv[0] == PYTHON else str(self._runnable(Path(argv[0])))
        return subprocess.Popen([program, *argv[1:]], env={**os.environ, **env}, start_new_session=True)

    def _end_beside(self) -> None:
        """End what was beside a program that has ended: its port is wanted again."""
        if self._beside is not None:
            self._beside.kill()
            self._beside.wait()
            self._beside = None

    def _runnable(self, program: Path) -> Path:
        """The program itself, or a copy of it: an image that is mounted as a volume may forbid that it is run there."""
        if os.access(program, os.X_OK):
            return program
        copy = self._scratch / program.name
        if not copy.exists():
            shutil.copyfile(program, copy)
            copy.chmod(0o755)
        return copy

    def signal(self, number: int, wait: float) -> dict[str, Any]:
        """Send a signal to the programs and their children; wait up to `wait` seconds for its end."""
        there = [one for one in (self._process, self._beside) if one is not None and one.poll() is None]
        for process in there:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in there:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait)
        return self.state()

    def expose(self, port: int) -> dict[str, Any]:
        """Hand connections to `port` to those who wait at `WAY`; 0: to nobody any more.

        Raises:
            OSError: the port is not free.
        """
        with self._lock:
            if self._exposed is not None:
                with contextlib.suppress(OSError):
                    self._exposed.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept keeps a port open
                self._exposed.close()
                self._exposed = None
            if port:
                self._exposed = socket.create_server(("0.0.0.0", port), backlog=128)
                threading.Thread(target=self._accept, args=(self._exposed,), daemon=True).start()
            return self.state()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=self._pair, args=(client,), daemon=True).start()

    def _pair(self, client: socket.socket) -> None:
        try:
            other = self._waiting.get(timeout=PATIENCE)
        except Empty:
            client.close()
            return
        both = ((client, other), (other, client))
        for one in [threading.Thread(target=carry, args=pair, daemon=True) for pair in both]:
            one.start()

    def wait_for_clients(self, server: socket.socket) -> None:
        """Take those who wait at `WAY`, for ever."""
        with contextlib.suppress(OSError):
            while True:
                self._waiting.put(server.accept()[0])


def _stopped(pid: int | None) -> bool:
    """Whether a signal has stopped a process (proc(5), state T)."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("T")
    return False


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until one side ends; then both do."""
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            sink.sendall(block)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _handler(hands: Hands) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Its output is the program's."""

        def do_GET(self) -> None:
            """State."""
            self._answer(200, hands.state())

        def do_POST(self) -> None:
            """What is asked for."""
            asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
            try:
                match self.path:
                    case "/start":
                        self._answer(200, self._start(asked))
                    case "/signal":
                        self._answer(200, hands.signal(int(asked["number"]), float(asked.get("wait") or 0)))
                    case "/expose":
                        self._answer(200, hands.expose(int(asked["port"])))
                    case _:
                        self._answer(404, {"error": f"nothing is called {self.path}"})
            except (OSError, ValueError, KeyError) as error:
                self._answer(409, {"error": f"{type(error).__name__}: {error}"})

        def _start(self, asked: Mapping[str, Any]) -> dict[str, Any]:
            env: dict[str, str] = asked.get("env") or {}
            files: dict[str, str] = asked.get("files") or {}
            return hands.start(asked["argv"], env, files, asked.get("beside") or ())

        def _answer(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(arguments: Iterable[str]) -> int:
    """Serve until SIGTERM, which ends the program too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="folder from which programs may be run")
    parser.add_argument("--control", type=int, default=CONTROL)
    parser.add_argument("--way", type=int, default=WAY)
    options = parser.parse_args(list(arguments))
    hands = Hands(options.scratch)
    way = socket.create_server(("127.0.0.1", options.way), backlog=128)
    threading.Thread(target=hands.wait_for_clients, args=(way,), daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", options.control), _handler(hands))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    ended.wait()
    hands.signal(signal.SIGCONT, 0)
    hands.signal(signal.SIGTERM, 2.0)
    hands.signal(signal.SIGKILL, 1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
