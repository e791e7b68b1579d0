"""Free TCP ports on the loopback interface.

Ports are taken from below the kernel's ephemeral range: a port from inside it can be lost to any outgoing connection
between choice and bind, and again when a program is restarted on the same port. Another program can still take one;
whoever starts a server looks for `taken` in its log and tries again with others.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from gpuassay.cluster.errors import ClusterError

_LOWEST = 16384
_handed_out: set[int] = set()
_lock = threading.Lock()


def _range() -> tuple[int, int]:
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32768
    return (_LOWEST, low) if low > _LOWEST + 1000 else (20000, 60000)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on now and that this process has not handed out before.

    Raises:
        ClusterError: none can be found.
    """
    low, high = _range()
    found: list[int] = []
    with _lock:
        for _ in range(200 * count):
            port = random.randrange(low, high)
            if port not in _handed_out and _is_free(port):
                _handed_out.add(port)
                found.append(port)
                if len(found) == count:
                    return found
    raise ClusterError(f"no {count} free loopback ports between {low} and {high}")


def taken(lines: Iterable[str]) -> bool:
    """Whether a log says that a port was lost to somebody else."""
    return any("address already in use" in line.lower() for line in lines)
