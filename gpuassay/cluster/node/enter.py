"""Runs a program inside a node: `python -S -m gpuassay.cluster.node.enter PID PROGRAM [ARGUMENT]...`.

Joins the namespaces of process PID (the node's first) and becomes the parent of PROGRAM there. SIGTERM reaches both, as
they are one process group; this one waits for the other and ends as it does. Neither outlives who started it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from gpuassay.cluster.node import linux

EMPTY = "/run/empty"
"""Working directory inside: programs that remove files by patterns find none."""

_NAMESPACES = ("net", "uts", "ipc", "mnt", "pid")


def _hear(number: int, frame: object) -> None:
    """Nothing: the program hears it too."""


def main() -> NoReturn:
    """Join, start, wait."""
    pid, program = sys.argv[1], sys.argv[2:]
    linux.die_with_parent(signal.SIGKILL)
    try:
        for descriptor in [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]:
            linux.setns(descriptor)
            os.close(descriptor)
    except OSError as error:
        print(f"the node is gone: {error}", file=sys.stderr)
        sys.exit(125)
    os.chdir(EMPTY)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _hear)  # a handler, unlike SIG_IGN, is not handed on to the program
    child = os.fork()
    if child == 0:
        linux.die_with_parent(signal.SIGKILL)
        try:
            os.execvp(program[0], program)
        except OSError as error:
            print(f"{program[0]}: {error.strerror}", file=sys.stderr)
            os._exit(126)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
