"""The shell that jobs on somebody's cluster run in, under its usual name."""

from __future__ import annotations

from gpuassay.cluster.images import Source
from gpuassay.toolchain import native
from gpuassay.toolchain.progress import Say

NAMES = ("docker.io/library/busybox:1.37", "docker.io/library/busybox:latest")
COMMANDS = (
    "sh",
    "cat",
    "date",
    "echo",
    "env",
    "id",
    "ls",
    "mkdir",
    "nslookup",
    "sleep",
    "stat",
    "test",
    "touch",
    "true",
)


def busybox(say: Say) -> Source:
    """Debian's static build of it.

    Raises:
        UnobtainableError: it cannot be had; the message says what to install.
    """
    links = {f"/bin/{name}": "-> /bin/busybox" for name in COMMANDS}
    return Source(NAMES, {"/bin/busybox": native.tool("busybox", say).path, **links}, (), arguments=("sh",))
