"""Runs a program with all that it starts, and lets none of it outlive whoever asked: `warden.py PRIORITY PROGRAM ...`.

Load generators start worker processes, which the death of the first one does not end. The warden is told by the kernel
when its parent dies, whatever killed it, and kills the group. PRIORITY above 0 puts the program and what it starts
under SCHED_RR, if the kernel lets it. Needs the standard library alone, as it is run by its path.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PDEATHSIG = 1


def main(priority: int, command: list[str]) -> int:
    """Run `command` to its end; its exit code, or 128 and the signal that ended it."""
    asked = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, {*asked, signal.SIGCHLD})
    # until here it was SIGKILL (gpuassay.cluster.process), so that no moment is without either
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    child = os.fork()
    if child == 0:
        try:
            if priority:
                with contextlib.suppress(OSError):  # not permitted
                    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            os.execv(command[0], command)
        finally:
            os._exit(127)
    while True:
        if signal.sigwait({*asked, signal.SIGCHLD}) != signal.SIGCHLD:
            os.killpg(0, signal.SIGKILL)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
