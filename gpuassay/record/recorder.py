"""The recorder process: `python -m gpuassay.record.recorder --config FILE`.

A process of its own, because receipt times must not wait for a busy test process. It ends when its standard input
closes, when its parent dies, on SIGTERM, or with exit code 1 and one line on standard error when it cannot go on.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path
from threading import Event, Lock, Thread

from gpuassay.record.connection import KubeConnection
from gpuassay.record.resources import RecorderConfig, RecorderError, Resource
from gpuassay.record.spool import Spool
from gpuassay.record.watcher import Watcher
from gpuassay.secrets import hide_line

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


class Wakeups:
    """Tells the parent on standard output which spool grew, and never waits for a parent that does not read.

    A dropped line loses nothing: a full pipe holds unread lines, and the parent reads every spool to its end after it
    reads one of them.
    """

    def __init__(self, fd: int, gone: Event) -> None:
        """Write to `fd`; set `gone` when nobody reads any more."""
        self._fd, self._gone, self._lock = fd, gone, Lock()
        os.set_blocking(fd, False)

    def __call__(self, kind: str, offset: int) -> None:
        """Write one line; far below PIPE_BUF, so it is written whole or not at all."""
        try:
            with self._lock:
                os.write(self._fd, f"{kind} {offset}\n".encode())
        except BlockingIOError:
            pass
        except OSError:
            self._gone.set()


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the thread that started this process ends (Linux; elsewhere do nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _note(line: str) -> None:
    print(" ".join(line.split())[:500], file=sys.stderr, flush=True)


def record(config: RecorderConfig, stop: Event, wake: Wakeups) -> None:
    """Record all resources until `stop` is set.

    Raises:
        RecorderError: the first reason why a resource cannot be recorded.
    """
    folder = Path(config.spool)
    connection = KubeConnection(config.kubeconfig, config.context, folder, len(config.resources) + 1)
    broken: list[RecorderError] = []

    def note(line: str) -> None:
        _note(hide_line(line))

    def follow(resource: Resource, spool: Spool) -> None:
        try:
            Watcher(connection, resource, spool, stop, label_selector=config.label_selector, note=note).run()
        except RecorderError as e:
            broken.append(RecorderError(hide_line(str(e))))
            stop.set()
        except Exception as e:  # a thread that dies silently would be a gap that nobody sees
            broken.append(RecorderError(hide_line(f"{resource.kind}: {type(e).__name__}: {e}")))
            stop.set()

    for resource in config.resources:
        Thread(target=follow, args=(resource, Spool(folder, resource.kind, wake)), daemon=True).start()
    while not stop.wait(3600):
        pass
    if broken:
        raise broken[0]


def _until_input_closes(stop: Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


def main(arguments: list[str] | None = None) -> int:
    """Run the recorder; 0 after an ordered end, 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m gpuassay.record.recorder", description="Record watch streams.")
    parser.add_argument("--config", type=Path, required=True, help="a recorder configuration (JSON)")
    options = parser.parse_args(arguments)
    stop = Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us in order
    try:
        config = RecorderConfig.read(options.config)
        if config.death_signal:
            die_with_parent()
        Thread(target=_until_input_closes, args=(stop,), daemon=True).start()
        record(config, stop, Wakeups(1, stop))
    except RecorderError as e:
        _note(f"recorder: {e}")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # watcher threads are blocked in reads; everything they wrote is already in the files
