"""Programs of a cluster as supervised child processes that cannot outlive us.

Three things end a child: `stop`, the end of the interpreter, and the kernel. The last is what holds after `kill -9` of
this process: every child asks for SIGKILL on its parent's death (prctl(2), PR_SET_PDEATHSIG) before it becomes the
program. The kernel means the parent *thread*, so all children are started from one thread that lives as long as we do.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpuassay.cluster.errors import ComponentDied
from gpuassay.cluster.parallel import side_by_side
from gpuassay.environment import inherited

TAIL = 30
"""Log lines shown when a program dies."""

# Runs in the child between fork and the program. A parent that died before prctl took effect is noticed by getppid.
_BIRTH = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9,0,0,0);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)

_lock = threading.Lock()
_alive: set[Process] = set()
_spawner: tuple[int, ThreadPoolExecutor] | None = None


def _spawn_thread() -> ThreadPoolExecutor:
    """The one thread that starts children; a forked copy of us gets its own."""
    global _spawner
    with _lock:
        if _spawner is None or _spawner[0] != os.getpid():
            _spawner = (os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="spawner"))
        return _spawner[1]


class Process:
    """A started program: its log, whether it lives, and how to stop it.

    Attributes:
        name: what reports call it.
        log: file that takes its standard output and error.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, offset: int) -> None:
        """Used by `start`."""
        self.name, self.log = name, log
        self._popen, self._offset = popen, offset
        self._expected = False
        self._ended = threading.Event()
        self._listeners: list[Callable[[Process], None]] = []

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set() and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code (negative: signal), or None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for its end; whether it has ended."""
        return self._ended.wait(seconds)

    def tail(self, lines: int = TAIL) -> list[str]:
        """The last lines it logged since it was started."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._offset, size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:]
        return []

    def death(self) -> ComponentDied | None:
        """How it died, or None when it runs or was stopped on purpose."""
        code = self.exit_code
        if code is None or self._expected:
            return None
        return ComponentDied(self.name, code, self.tail())

    def stop(self, grace: float = 5.0) -> None:
        """Ask it to end; kill its process group when it has not ended after `grace` seconds (0: at once)."""
        self._expected = True
        if grace > 0 and self.alive:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self._signal(signal.SIGKILL)  # also whatever is left of its group
        self._popen.wait()
        self._ended.wait(5)

    def kill(self, *, expected: bool = True) -> None:
        """SIGKILL; with `expected` False the death is reported as any other."""
        self._expected = self._expected or expected
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._ended.wait(5)

    def may_die(self) -> None:
        """From now on its end is part of a test, and not reported as a death."""
        self._expected = True

    def freeze(self) -> None:
        """SIGSTOP: it hangs until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        self._signal(signal.SIGCONT)

    def cpu_seconds(self) -> float | None:
        """CPU time used so far, or None when it is gone (proc(5), fields 14 and 15 of stat)."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int | None:
        """Resident memory, or None when it is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _watch(self, listener: Callable[[Process], None] | None) -> None:
        self._popen.wait()
        self._ended.set()
        with _lock:
            _alive.discard(self)
        if listener is not None and not self._expected:
            listener(self)

    def watch(self, listener: Callable[[Process], None] | None) -> None:
        """Used by `start`: one waiting thread per child, which tells `listener` of a death nobody asked for."""
        threading.Thread(target=self._watch, args=(listener,), name=f"watch-{self.name}", daemon=True).start()


def start(
    name: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_death: Callable[[Process], None] | None = None,
) -> Process:
    """Start a program in its own session, its output appended to `log`.

    Args:
        name: what reports call it.
        argv: absolute path of the program, then its arguments.
        log: file for standard output and error; its folder exists.
        cwd: working directory (some programs write there).
        env: environment; None: ours.
        on_death: told when it ends although nobody stopped it.

    Raises:
        OSError: it cannot be started.
    """
    program = Path(argv[0])
    if not os.access(program, os.X_OK):
        raise FileNotFoundError(f"{name}: {program} is not a program that can be run")
    command = [sys.executable, "-ISc", _BIRTH, str(os.getpid()), *map(str, argv)]

    def fork() -> Process:
        with log.open("ab") as out:
            before = out.tell()  # the child shares the file's offset: afterwards it may have written already
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
            return Process(name, popen, log, before)

    process = _spawn_thread().submit(fork).result()
    with _lock:
        _alive.add(process)
    process.watch(on_death)
    return process


class Supervisor:
    """The children of one cluster: starts them, and remembers the first that died on its own."""

    def __init__(self) -> None:
        """No children yet."""
        self._children: dict[str, Process] = {}
        self._started: dict[str, tuple[list[str | Path], Path, Path | None, Mapping[str, str] | None]] = {}
        self._first: ComponentDied | None = None
        self._guard = threading.Lock()
        self._stopping = False

    @property
    def processes(self) -> Mapping[str, Process]:
        """The latest process of every name."""
        return dict(self._children)

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a child with `env` added to our environment; a death that nobody asked for is kept."""
        process = start(name, argv, log, cwd=cwd, env=inherited() | dict(env) if env else None, on_death=self._died)
        self._children[name] = process
        self._started[name] = (list(argv), log, cwd, env)
        return process

    def replace(self, name: str, program: Path, *, grace: float = 5.0) -> Process:
        """Stop the child called `name` and start `program` in its place, with the same arguments, log and environment.

        Raises:
            KeyError: there is no such child.
            OSError: the program cannot be started.
        """
        argv, log, cwd, env = self._started[name]
        self.stop(name, grace=grace)
        return self.start(name, [program, *argv[1:]], log, cwd=cwd, env=env)

    def stop(self, *names: str, grace: float = 5.0) -> None:
        """Stop the named children side by side; the others are not touched."""
        chosen = [self._children[name] for name in names if name in self._children]
        side_by_side(lambda process: process.stop(grace), chosen)

    def death(self) -> ComponentDied | None:
        """The first death that nobody asked for, or None."""
        return self._first

    def forget(self, name: str) -> None:
        """Forget the death of the latest `name`, which was dealt with, be it reported already or not yet."""
        with self._guard:
            if name in self._children:
                self._children[name].may_die()
            if self._first is not None and self._first.component == name:
                self._first = None

    def _died(self, process: Process) -> None:
        with self._guard:
            death = process.death()
            # a child that is no longer the latest of its name was replaced: its end is old news
            if self._first is None and death is not None and self._children.get(process.name) is process:
                self._first = death


@atexit.register
def _stop_all() -> None:
    """What is left when the interpreter ends is killed: an orderly stop was the job of a context manager."""
    for process in list(_alive):
        process.kill()
