"""How crowded the machine was: how long work waited for a CPU, and how much of the CPUs went to somebody else.

A measurement on a crowded machine says more about the neighbours than about the system under test. Load average hides
that. `/proc/pressure/cpu` shows that work waited (https://docs.kernel.org/accounting/psi.html), be it for our own other
work; CPU time by process (proc(5)) shows who had the CPUs.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PSI = _PROC / "pressure" / "cpu"
_TICK = os.sysconf("SC_CLK_TCK")

CALM = 0.1
"""Share of the CPU time below which others do not count: sampling is not more exact."""
OWN_WINDOW = 2.0
"""s after which `OwnClock` looks again at who had the CPUs."""
SLOWEST = 0.2
"""Rate of `OwnClock` when others have them all: a wait takes five times as long at the most."""

_WINDOWS: deque[tuple[float, float]] = deque(maxlen=4096)
"""Of each look of `OwnClock`: when (s of CLOCK_MONOTONIC), and others' share of the CPU time since the one before."""

SHORTEST = 0.5
"""s between two readings below which a share of CPU time is not told: times are counted in hundredths of a second."""


@dataclass(frozen=True)
class Reading:
    """What the CPUs had done by a moment.

    Attributes:
        at: s of CLOCK_MONOTONIC.
        stall_us: us since boot in which some task waited for a CPU; None where the kernel does not say.
        busy: CPU s since boot of all programs, and those that a hypervisor gave to others.
        ours: CPU s of this process, and of all that it started and they in turn.
    """

    at: float
    stall_us: int | None
    busy: float
    ours: float


def read() -> Reading:
    """The reading of this moment (some milliseconds of work)."""
    return Reading(time.monotonic(), _stall_us(), busy(), _ours())


def shares(before: Reading, after: Reading | None = None) -> Mapping[str, float | None]:
    """What a measurement notes of the time between two readings, the second taken now if it is not given.

    Returns:
        `cpu_stall_share`: share (0..1) of the time in which some task waited for a CPU; `others_cpu_share`: share
        (0..1) of the machine's CPU time that was used, and not by us. None where it is not known.
    """
    now = after or read()
    passed = now.at - before.at
    stall = None
    if before.stall_us is not None and now.stall_us is not None and passed > 0:
        stall = round(min(1.0, (now.stall_us - before.stall_us) / 1e6 / passed), 4)
    others = None
    if passed >= SHORTEST:
        theirs = (now.busy - before.busy) - (now.ours - before.ours)
        others = round(min(1.0, max(0.0, theirs / passed / (os.cpu_count() or 1))), 4)
    return {"cpu_stall_share": stall, "others_cpu_share": others}


def busy_share(busy_before: float, seconds: float) -> float:
    """Share (0..1) of all CPUs' time that was used in the last `seconds`, since `busy` gave `busy_before`."""
    return round(min(1.0, max(0.0, (busy() - busy_before) / seconds / (os.cpu_count() or 1))), 4)


def recent() -> float:
    """Share (0..1) of the last ten seconds in which some task waited for a CPU; 0 where the kernel does not say."""
    try:
        text = _PSI.read_text()
    except OSError:
        return 0.0
    return float(text.partition("avg10=")[2].split()[0]) / 100


class OwnClock:
    """Monotonic time that goes slower the more of the machine's CPU time others take.

    A deadline counted by it gives a system under test the same work time on a contended machine as on a quiet one; it
    never goes slower than `SLOWEST`, so every deadline comes.
    """

    def __init__(self, shares_since: Callable[[Reading], tuple[Reading, float]] | None = None) -> None:
        """Begin now; `shares_since` gives the reading of this moment, and others' share since an earlier one."""
        self._look = shares_since or _others_since
        self._before = read()
        self._lost = 0.0
        self._rate = 1.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """The time in seconds."""
        with self._lock:
            passed = time.monotonic() - self._before.at
            if passed >= OWN_WINDOW:
                now, others = self._look(self._before)
                self._lost += (now.at - self._before.at) * (1 - self._rate)  # a rate counts from when it is known
                self._rate = max(SLOWEST, 1 - others) if others > CALM else 1.0
                self._before, passed = now, 0.0
            return self._before.at + passed * self._rate - self._lost


def _others_since(before: Reading) -> tuple[Reading, float]:
    now = read()
    others = shares(before, now)["others_cpu_share"] or 0.0
    _WINDOWS.append((now.at, others))
    return now, others


def burst(before: Reading) -> float | None:
    """Largest share (0..1) of the CPU time that others had between two looks of `OwnClock` since `before`.

    A mean over a recording hides a neighbour that was there for some seconds of it. None where no look was that young.
    """
    return max((others for at, others in _WINDOWS.copy() if at > before.at), default=None)


def _stall_us() -> int | None:
    try:
        text = _PSI.read_text()
    except OSError:
        return None
    some = next(line for line in text.splitlines() if line.startswith("some"))
    return int(some.rsplit("total=", 1)[1])


def busy() -> float:
    """CPU s since boot of all programs, and stolen by a hypervisor; interrupts, mostly of our traffic, are nobody's."""
    fields = [int(one) for one in (_PROC / "stat").read_text().partition("\n")[0].split()[1:]]
    user, nice, system, stolen = fields[0], fields[1], fields[2], fields[7]
    return (user + nice + system + stolen) / _TICK


def _ours() -> float:
    """What ended counts with whoever waited for it, as the kernel has it."""
    seconds: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue  # it has just ended
        seconds[int(entry.name)] = sum(int(one) for one in fields[11:15]) / _TICK
        children[int(fields[1])].append(int(entry.name))
    total, todo = 0.0, [os.getpid()]
    while todo:
        one = todo.pop()
        total += seconds.get(one, 0.0)
        todo += children[one]
    return total
