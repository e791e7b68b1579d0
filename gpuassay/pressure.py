"""How much of the time work had to wait for a CPU: Linux pressure stall information.

A measurement on a crowded machine says more about the neighbours than about the system under test. Load average hides
that, `/proc/pressure/cpu` shows it (https://docs.kernel.org/accounting/psi.html).
"""

from __future__ import annotations

from pathlib import Path

_PSI = Path("/proc/pressure/cpu")


def cpu_stall_us() -> int | None:
    """Total microseconds since boot in which some task waited for a CPU; None where the kernel does not say."""
    try:
        text = _PSI.read_text()
    except OSError:
        return None
    some = next(line for line in text.splitlines() if line.startswith("some"))
    return int(some.rsplit("total=", 1)[1])


def recent() -> float:
    """Share (0..1) of the last ten seconds in which some task waited for a CPU; 0 where the kernel does not say."""
    try:
        text = _PSI.read_text()
    except OSError:
        return 0.0
    return float(text.partition("avg10=")[2].split()[0]) / 100


def stall_share(before_us: int | None, started_ns: int, ended_ns: int) -> float | None:
    """Share (0..1) of the time since `started_ns` in which some task waited; None where it is not known."""
    now = cpu_stall_us()
    if before_us is None or now is None or ended_ns <= started_ns:
        return None
    return round(min(1.0, (now - before_us) * 1000 / (ended_ns - started_ns)), 4)
