"""Keeps a node, and clears it away whatever becomes of who wanted it: `python -S -m gpuassay.cluster.node.keeper SPEC`.

The node's processes live in a PID namespace whose first process is this one's child: killing that ends them all, and
with the last of them go mounts, network and sockets. What the kernel does not take along (cgroups, files) is removed
here. The keeper outlives its owner for that moment: it watches the owner and its standard input, and ends with either.

It tells one JSON line: {"pid", "address", "gateway", "interface"}, or {"error"}. A line "keep" on its standard input
makes it leave the files, for a start of the same node later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpuassay.cluster.node import cgroups, inside, linux

NETWORK = (198, 18)
"""Of 198.18.0.0/15, set aside for tests of devices (RFC 2544), so that nobody routes it: one /24 per node."""
INTERFACE = "gpuassay{}"
"""Host end of a node's cable. Its number is that of the subnet: making it reserves the subnet, whoever else asks."""
ATTEMPTS = 64


class Keeper:
    """What there is of a node; `end` may be called in any state."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Nothing is there yet."""
        self.spec = spec
        self.hierarchies = cgroups.hierarchies()
        self.first: int | None = None
        self.interface = ""
        self.keep = False
        self.server: socket.socket | None = None

    def start(self) -> dict[str, Any]:
        """Make the node's namespaces; what the owner must know.

        Raises:
            OSError: the kernel or ip refuses.
        """
        cgroups.make(self.spec["cgroup"], self.hierarchies)
        line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with line:
            self._fork(line, other)
            self._hear(line)
            addresses = self._plug()
            line.send(json.dumps(addresses).encode())
            _, descriptors = self._hear(line)
            self.server = socket.socket(fileno=descriptors[0])
        return {
            "pid": self.first,
            "address": addresses["node"],
            "gateway": addresses["gateway"],
            "interface": self.interface,
        }

    def _fork(self, line: socket.socket, other: socket.socket) -> None:
        ours = os.open("/proc/self/ns/pid", os.O_RDONLY)
        linux.unshare(linux.NEW_PIDS)
        self.first = os.fork()
        if self.first == 0:
            line.close()
            inside.run(self.spec, other)
        linux.setns(ours, linux.NEW_PIDS)  # further children (ip) are ours again
        os.close(ours)
        other.close()

    @staticmethod
    def _hear(line: socket.socket) -> tuple[bytes, list[int]]:
        said, descriptors, _, _ = socket.recv_fds(line, 4096, 1)
        if said in (b"unshared", b"ok"):
            return said, descriptors
        raise OSError(said.decode().removeprefix("error: ") or "the node's first process died")

    def _plug(self) -> dict[str, str]:
        """Connect node and host: a veth pair whose other end is on the node's bridge."""
        for attempt in range(1, ATTEMPTS + 1):
            number = random.randrange(512)
            subnet = f"{NETWORK[0]}.{NETWORK[1] + number // 256}.{number % 256}"
            name = INTERFACE.format(number)
            try:
                inside.batch(f"link add {name} type veth peer name {inside.UPLINK} netns {self.first}\n")
            except OSError as error:
                if "exists" in str(error) and attempt < ATTEMPTS:
                    continue  # another node's
                raise
            self.interface = name
            own = f"link set {name} alias {self.spec['cgroup']}\n"  # says whose it is
            inside.batch(f"{own}addr add {subnet}.1/24 dev {name}\nlink set {name} up\n")
            return {"node": f"{subnet}.2", "gateway": f"{subnet}.1", "prefix": "24"}
        raise AssertionError("unreachable")

    def end(self) -> None:
        """Kill all that is inside, remove what is outside."""
        if self.first:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.first, signal.SIGKILL)
            os.waitpid(self.first, 0)  # returns once all processes of the namespace are dead
            self.first = None
        if self.interface:
            # it goes with the namespace too, but later
            subprocess.run(["ip", "link", "del", self.interface], capture_output=True, check=False)
        for left in cgroups.remove(self.spec["cgroup"], self.hierarchies):
            print(f"cgroup {left} could not be removed", file=sys.stderr)
        if not self.keep:
            shutil.rmtree(self.spec["folder"], ignore_errors=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry one connection to the API server: it listens on the host's loopback, which is not the node's."""
    with contextlib.suppress(OSError, asyncio.CancelledError):  # cancelled when the node ends
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [asyncio.create_task(_pass_on(*way)) for way in ((reader, there_writer), (there_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        there_writer.close()
    writer.close()


async def _stand_by(keeper: Keeper, owner: int) -> None:
    """Until the owner ends, or asks us to, or the node's first process dies."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    port: int = keeper.spec["api_port"]
    server = await asyncio.start_server(lambda reader, writer: _relay(reader, writer, port), sock=keeper.server)

    def hear() -> None:
        said = os.read(0, 100)
        if said.strip() == b"keep":
            keeper.keep = True
        if not said:
            loop.remove_reader(0)
            over.set()

    assert keeper.first is not None
    loop.add_reader(0, hear)
    loop.add_reader(owner, over.set)
    loop.add_reader(os.pidfd_open(keeper.first), over.set)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    async with server:
        await over.wait()


def main() -> int:
    """Keep the node that the file names."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    keeper = Keeper(spec)
    try:
        owner = os.pidfd_open(spec["owner"])
        if os.getppid() != spec["owner"]:
            return 1
        told = keeper.start()
        print(json.dumps(told), flush=True)
        asyncio.run(_stand_by(keeper, owner))
    except OSError as error:
        with contextlib.suppress(OSError):
            print(json.dumps({"error": str(error)}), flush=True)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
