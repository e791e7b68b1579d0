"""A program of an arm under the cluster's supervisor, with what tests do to it: stop, kill, suspend, start again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import requests

import gpuassay
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.ports import taken
from gpuassay.cluster.process import Process
from gpuassay.waiting import wait

ANSWER_SECONDS = 5.0
"""How long a program may take to answer one question; a frozen one never does."""


class PortLostError(ClusterError):
    """Another program took a port between its choice and its use: the arm is started again with others."""


def http() -> requests.Session:
    """A session that goes straight to loopback addresses, whatever proxy the environment names."""
    session = requests.Session()
    session.trust_env = False
    return session


def own_program(module: str, *arguments: object) -> list[str]:
    """Command line of one of our own programs (`gpuassay.systems.llmd.component.serve.<module>`)."""
    return [sys.executable, "-m", f"gpuassay.systems.llmd.component.serve.{module}", *map(str, arguments)]


OWN_ENVIRONMENT = {"PYTHONPATH": str(Path(gpuassay.__file__).parents[1])}
"""What our own programs need wherever they are started."""


def log_objects(text: str) -> list[dict[str, Any]]:
    """JSON lines of a log; a line that is no JSON object (a Go panic) is `{"text": line}`."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            parsed: Any = json.loads(line)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            found.append(cast("dict[str, Any]", parsed))
        elif line.strip():
            found.append({"text": line})
    return found


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal (proc(5), state T): it cannot answer."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("T")
    except (OSError, IndexError):
        return False


class Child:
    """A program that can be started again with the same command line.

    Attributes:
        name: unique on the cluster, and part of the log's file name.
        log: file for the output of all its starts.
        disturbances: what was done to it, in order: `stop`, `kill`, `suspend`.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        log: Path,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started yet."""
        self.name, self.log = name, log
        self._cluster = cluster
        self.command: list[str | Path] = list(command)
        self.env = dict(env or {})
        self.disturbances: list[str] = []
        self._offset = 0

    @property
    def process(self) -> Process | None:
        """The process of the latest start, None before the first."""
        return self._cluster.processes.get(self.name)

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        process = self.process
        return process is not None and process.alive

    def start_seen(self) -> str | None:
        """What tells this start of the program from others; None while it does not run, or is stopped by a signal."""
        process = self.process
        if process is None or not process.alive or is_stopped(process.pid):
            return None
        return str(process.pid)

    def launch(self) -> None:
        """Start the program; what makes it ready is the caller's to wait for.

        Raises:
            ClusterError: it runs already, or it cannot be run.
        """
        if self.alive:
            raise ClusterError(f"{self.name} runs already")
        self._cluster.supervisor.forget(self.name)
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        self.log.parent.mkdir(parents=True, exist_ok=True)
        program = Path(self.command[0])
        if not program.is_file():
            raise ClusterError(f"{self.name}: the program {program} is missing")
        self._cluster.supervisor.start(self.name, self.command, self.log, env=self.env)

    def await_ready(self, look: Callable[[], bool], *, what: str, timeout: float = 30, delay: float = 0.02) -> None:
        """Wait until `look` is true, or the program has ended.

        Raises:
            PortLostError: it ended because a port was taken.
            ClusterError: it ended; its own last message is shown.
            gpuassay.waiting.WaitTimeout: it is not ready in time.
        """

        def state() -> str:
            return "ready" if look() else "not yet" if self.alive else "ended"

        if wait(state, ("ready", "ended").__contains__, what=what, timeout=timeout, delay=delay) == "ended":
            raise self.refusal()

    def refusal(self) -> ClusterError:
        """Why it ended, in its own words; the death is no longer reported as the cluster's."""
        self._cluster.supervisor.forget(self.name)
        process = self.process
        lines = process.tail(200) if process else []
        if taken(lines):
            return PortLostError(f"{self.name} lost a port to another program")
        code = process.exit_code if process else None
        return ClusterError(
            f"{self.name} refuses to start (exit code {code}): {self.complaint() or '(it printed nothing)'}"
        )

    def complaint(self) -> str | None:
        """Its last line that reports an error, else its last line; None where it said nothing."""
        lines = log_objects(self.log_text())
        errors = [line for line in lines if line.get("level") in ("error", "fatal", "dpanic", "panic")]
        chosen = (errors or lines)[-1:]
        for line in chosen:
            if "text" in line:
                return str(line["text"]).strip()
            error = line.get("error") or line.get("err")
            return f"{line.get('msg', '')}: {error}" if error else str(line.get("msg", line))
        return None

    def log_text(self) -> str:
        """What it logged since its latest start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    def log_offset(self) -> int:
        """Where the log ends now: what to give to `log_lines` later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_lines(self, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Complete lines from byte `since` on as JSON objects (`{"text"}` for others), and the offset to go on from."""
        if not self.log.exists():
            return [], since
        with self.log.open("rb") as file:
            file.seek(since)
            block = file.read()
        end = block.rfind(b"\n") + 1
        return log_objects(block[:end].decode(errors="replace")), since + end

    def terminate(self, timeout: float = 10.0) -> None:
        """SIGTERM, then wait until it has ended by itself; SIGKILL after `timeout` seconds."""
        process = self.process
        self.disturbances.append("stop")
        if process is not None:
            process.thaw()  # what is suspended hears no SIGTERM
            process.stop(timeout)

    stop = terminate

    def kill(self) -> None:
        """SIGKILL, as a crash that was ordered: it does not count as a component that died."""
        process = self.process
        self.disturbances.append("kill")
        if process is not None:
            process.kill()

    def may_die(self) -> None:
        """From now on its end is part of a test."""
        process = self.process
        if process is not None:
            process.may_die()

    def suspend(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        process = self.process
        self.disturbances.append("suspend")
        if process is not None:
            process.freeze()

    def resume(self) -> None:
        """SIGCONT after `suspend`."""
        process = self.process
        if process is not None:
            process.thaw()


class OneProcess:
    """A part of an arm that is one process: what tests do to it is done to its `child`.

    Attributes:
        child: the process.
    """

    child: Child

    def kill(self) -> None:
        """SIGKILL: connections break, nobody is told."""
        self.child.kill()

    def terminate(self) -> None:
        """SIGTERM, then wait for its end: it drains what is under way."""
        self.child.terminate()

    def suspend(self) -> None:
        """SIGSTOP: it accepts connections, keeps those it has, and answers nothing."""
        self.child.suspend()

    def resume(self) -> None:
        """SIGCONT after `suspend`."""
        self.child.resume()
