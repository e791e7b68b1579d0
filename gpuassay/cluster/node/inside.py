"""The first process of a node: makes its namespaces, then only reaps. When it dies, the kernel ends all that is inside.

Runs as a child of the keeper (`gpuassay.cluster.node.keeper`), forked, so it uses the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from gpuassay.cluster.node import linux, sealed
from gpuassay.cluster.node.enter import EMPTY

BRIDGE = "cni0"
UPLINK = "uplink"
"""The node's end of the cable to the host."""


def run(spec: dict[str, Any], line: socket.socket) -> NoReturn:
    """Make the namespaces, the mounts and the network; hand the keeper a listening socket; then reap for ever.

    Args:
        spec: what the keeper was given.
        line: to the keeper: "unshared" is told, addresses are heard, the socket (or an error) is sent.
    """
    try:
        linux.die_with_parent(signal.SIGKILL)
        linux.unshare(linux.NEW_MOUNTS | linux.NEW_NETWORK | linux.NEW_HOSTNAME | linux.NEW_IPC)
        linux.sethostname(spec["name"])
        if spec["sealed"]:
            sealed.root(Path(spec["folder"]))
        _mounts(Path(spec["folder"]), spec["binds"], may_make=spec["sealed"])
        line.send(b"unshared")
        addresses = json.loads(line.recv(4096) or "null")
        if addresses is None:
            os._exit(1)  # the keeper is gone
        _network(addresses)
        server = socket.create_server(("", spec["api_port"]), backlog=128)  # pods reach it at the node's address
        socket.send_fds(line, [b"ok"], [server.fileno()])
        server.close()
        line.close()
    except Exception as error:
        with contextlib.suppress(OSError):
            line.send(f"error: {error}".encode())
        os._exit(1)
    _reap()


def _mounts(folder: Path, binds: list[list[str]], *, may_make: bool) -> None:
    """Private /proc, /run, /var/lib and /var/log: paths that are fixed in kubelet, CNI, CDI and shim."""
    linux.mount("none", "/", flags=linux.RECURSIVE | linux.PRIVATE)  # nothing reaches the host from here on
    linux.mount("proc", "/proc", "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
    for name in ("lib", "log"):
        own = folder / f"var-{name}"
        own.mkdir(exist_ok=True)
        linux.mount(str(own), f"/var/{name}", flags=linux.BIND)
    linux.mount("run", "/run", "tmpfs", options="mode=755")
    for name in ("cdi", "containerd", "netns", Path(EMPTY).name):
        (Path("/run") / name).mkdir()
    if not Path("/var/run").is_symlink():
        linux.mount("/run", "/var/run", flags=linux.BIND)
    linux.mount("none", "/", flags=linux.RECURSIVE | linux.SHARED)  # among our own: containers see the pods' volumes
    for source, target in binds:
        if may_make and not target.startswith("/proc/"):  # the root is the node's own
            Path(target).mkdir(parents=True, exist_ok=True)
        linux.mount(source, target, flags=linux.BIND)


def _network(addresses: dict[str, str]) -> None:
    # Without an address of its own a bridge has the lowest of its ports', another one with every pod that comes or
    # goes; the host then talks to the old one until it notices: nobody reaches the kubelet for some 13 seconds.
    octets = (int(one) for one in addresses["node"].split("."))
    commands = f"""\
link set lo up
link add {BRIDGE} address 02:00:{":".join(f"{one:02x}" for one in octets)} type bridge
link set {UPLINK} master {BRIDGE}
addr add {addresses["node"]}/{addresses["prefix"]} dev {BRIDGE}
link set {UPLINK} up
link set {BRIDGE} up
route add default via {addresses["gateway"]}
"""
    batch(commands)


def batch(commands: str) -> None:
    """Run lines of ip(8).

    Raises:
        OSError: ip refuses; its last words are the message.
    """
    done = subprocess.run(["ip", "-batch", "-"], input=commands, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(f"ip: {said[0]}")


def _reap() -> NoReturn:
    for descriptor in (0, 1, 2):  # nobody waits for our output to end
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


if __name__ == "__main__":
    sys.exit("this module is run by the keeper")
