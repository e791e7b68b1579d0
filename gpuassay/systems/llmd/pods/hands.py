"""A program in a pod that stays when the program ends: it is killed, suspended and started again as a process is.

The pod's only container is `gpuassay.systems.llmd.component.serve.hands`; the program's own image is a volume of it
(Kubernetes 1.35 and newer have image volumes). So a model server crashes, hangs and comes back at the same address, and
its Pod stays Ready meanwhile, as between a crash and the kubelet's next look.
"""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import requests

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.process import Process
from gpuassay.cluster.program import http
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component.serve.hands import CONTROL, PYTHON, WAY, carry
from gpuassay.systems.llmd.pods.manifests import Program
from gpuassay.systems.llmd.pods.program import Place, PodChild
from gpuassay.waiting import wait

__all__ = ["PYTHON", "HandChild", "possible", "wait_for_a_client"]

MODULE = "gpuassay.systems.llmd.component.serve.hands"
SCRATCH, PROGRAM = "/scratch", "/program"
"""Folders: of what is written at a start, and of the program's image."""
FIRST_MINOR = 35
"""Kubernetes 1.x from which image volumes are on by default."""
AT_A_TIME = 24
"""Connections that are kept waiting for clients of a stand-in."""
_ASK_SECONDS = 15.0
_START_SECONDS = 90.0
"""A start may copy the program first, where what is mounted from an image must not be run (`noexec`)."""


def possible(api: Api) -> bool:
    """Whether the cluster has image volumes."""
    minor = re.match(r"\d+", api.version.get("minor", ""))
    return minor is not None and int(minor[0]) >= FIRST_MINOR


class HandChild(PodChild):
    """A program that hands in its pod start and stop."""

    def __init__(
        self,
        place: Place,
        program: Program,
        argv: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        controlled: bool = False,
    ) -> None:
        """Nothing is made yet; `argv`: a program below a mounted image, or `PYTHON`, then its arguments."""
        held = replace(program, scratch=SCRATCH, command=("python", "-m"))
        super().__init__(place, held, argv, files=files, controlled=controlled)
        self.address = ""
        self.written: dict[str, str] = {}
        """Files that are written into `SCRATCH` before each start."""
        self.beside: list[str] = []
        """Another program of the pod, which starts and ends with the first one."""
        self._http = http()
        self._control = self.reach(CONTROL)
        self._way = self.reach(WAY)

    def arguments(self) -> list[str]:
        """Arguments of the container: those of the hands."""
        return [MODULE, "--scratch", SCRATCH]

    def _ask(self, path: str, seconds: float = _ASK_SECONDS, **asked: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._control}/{path}"
        try:
            answer = (
                self._http.post(url, json=asked, timeout=seconds) if asked else self._http.get(url, timeout=seconds)
            )
            said: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise ClusterError(f"the pod of {self.name} does not answer: {error}") from None
        if answer.status_code != 200:
            raise ClusterError(f"{self.name}: {said.get('error', answer.status_code)}")
        return said

    @property
    def alive(self) -> bool:
        """Whether the program runs now."""
        try:
            return bool(self._ask("state")["running"])
        except ClusterError:
            return False

    def start_seen(self) -> str | None:
        """As of a process: its address and the pid of the program, which is another after each start."""
        try:
            state = self._ask("state")
        except ClusterError:
            return None
        return f"{self.address}/{state['pid']}" if state["running"] and not state["stopped"] else None

    def make(self) -> None:
        """Make the pod, without starting the program."""
        self.begin()

    def launch(self) -> None:
        """Start the program, in a pod that is made first where there is none."""
        if self.pod() is None:
            self.make()
        self.await_running()
        self._offset = self.log_offset()
        own = {name: value.replace("$(IP)", self.address) for name, value in self.env.items()}
        argv = [str(one) for one in self.command]
        self._ask("start", _START_SECONDS, argv=argv, env=own, files=self.written, beside=self.beside)

    def await_running(self) -> Manifest:
        """Wait until its hands answer; returns the pod. Errors as of a pod."""
        pod = super().await_running()
        self.address = str(pod["status"]["podIP"])

        def answers() -> bool:
            with suppress(ClusterError):
                self._ask("state")
                return True
            return False

        wait(answers, bool, what=f"the pod of {self.name} to answer", timeout=30, delay=0.1)
        return pod

    def refusal(self) -> ClusterError:
        """Why it ended, in its own words."""
        try:
            code = self._ask("state")["exit"]
        except ClusterError as error:
            return error
        return ClusterError(
            f"{self.name} refuses to start (exit code {code}): {self.complaint() or '(it printed nothing)'}"
        )

    @property
    def process(self) -> Process | None:
        """The program as a process: it takes signals and has an exit code."""
        return _Remote(self)

    def state(self) -> dict[str, Any]:
        """Whether the program runs, and its latest exit code. Raises ClusterError where its pod does not answer."""
        return self._ask("state")

    def signal(self, number: signal.Signals, wait: float = 0.0) -> dict[str, Any]:
        """Send a signal, and wait up to `wait` seconds for the program's end; its state then. Errors as `state`."""
        return self._ask("signal", number=int(number), wait=wait)

    def terminate(self, timeout: float = 10.0) -> None:
        """SIGTERM, then wait until it has ended by itself; SIGKILL after `timeout` seconds."""
        self.disturbances.append("stop")
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM, min(timeout, _ASK_SECONDS - 2))
        self.signal(signal.SIGKILL, 2.0)

    stop = terminate

    def kill(self) -> None:
        """SIGKILL; the pod stays."""
        self.disturbances.append("kill")
        self.signal(signal.SIGKILL, 5.0)

    def renew(self, program: Program) -> None:
        """Take the pod away, for `launch` to make another one of it, by `program`."""
        self._delete(0)
        self.program = replace(program, scratch=SCRATCH, command=self.program.command)

    def suspend(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        self.disturbances.append("suspend")
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `suspend`."""
        self.signal(signal.SIGCONT)

    @contextmanager
    def answered_by(self, port: int, server: tuple[str, int]) -> Generator[None]:
        """Have a server of this machine answer at `port` of the pod, for the length of a `with` block."""
        ended = threading.Event()
        self._ask("expose", port=port)
        for _ in range(AT_A_TIME):
            wait_for_a_client(self._way, server, ended)
        try:
            yield
        finally:
            ended.set()
            with suppress(ClusterError):
                self._ask("expose", port=0)


class _Remote(Process):
    """A program in a pod, for those who send signals of their own."""

    def __init__(self, child: HandChild) -> None:
        self.name, self.log, self._child = child.name, child.log, child

    @property
    def alive(self) -> bool:
        return self._child.alive

    @property
    def exit_code(self) -> int | None:
        state = self._child.state()
        return None if state["running"] else state["exit"]

    def stop(self, grace: float = 5.0) -> None:
        if grace > 0:
            self._child.signal(signal.SIGTERM, min(grace, _ASK_SECONDS - 2))
        self._child.signal(signal.SIGKILL, 2.0)

    def kill(self, *, expected: bool = True) -> None:
        del expected
        self._child.kill()

    def may_die(self) -> None:
        """Nobody takes its end for a death of the cluster."""

    def freeze(self) -> None:
        self._child.suspend()

    def thaw(self) -> None:
        self._child.resume()


def wait_for_a_client(way: int, server: tuple[str, int], ended: threading.Event) -> None:
    """Wait for one client of the pod's port, on a thread of its own; another one waits in its place after that."""

    def wait() -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", way), 10) as client:
            client.settimeout(None)
            while not ended.is_set():
                client.settimeout(1.0)
                try:
                    first = client.recv(1 << 16)
                except TimeoutError:
                    continue
                break
            else:
                return
            if not ended.is_set():
                wait_for_a_client(way, server, ended)
            client.settimeout(None)
            if first:
                _serve(client, server, first)

    threading.Thread(target=wait, name="answering", daemon=True).start()


def _serve(client: socket.socket, server: tuple[str, int], first: bytes) -> None:
    with socket.create_connection(server, 5) as answering:
        answering.sendall(first)
        back = threading.Thread(target=carry, args=(answering, client), daemon=True)
        back.start()
        carry(client, answering)
        back.join()
