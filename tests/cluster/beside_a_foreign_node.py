"""A machine on which a kubelet and a containerd of somebody's are at work, in a mount namespace of its own.

unshare --mount python -m tests.cluster.beside_a_foreign_node FOLDER CONTROL_PLANE_FOLDER

They are stand-ins: their files, sockets that listen, and a process of that name. A real node of ours comes and goes
beside them; what it did to them is said at the end, one a line, after `touched:`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.cluster.owner_of_a_node import node_with_a_pod, say

PLACES = ("/var/lib", "/var/log", "/run")
SOCKETS = ("/var/lib/kubelet/device-plugins/kubelet.sock", "/run/containerd/containerd.sock")
FILES = (
    "/var/lib/kubelet/config.yaml", "/var/lib/containerd/meta.db", "/var/lib/cni/networks/pods/198.18.0.2",
    "/var/log/pods/one/0.log", "/run/cdi/nvidia.yaml",
)  # fmt: skip


def _listening(path: str) -> socket.socket:
    Path(path).parent.mkdir(parents=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    made.listen()
    made.setblocking(False)
    return made


def _asked(one: socket.socket) -> bool:
    try:
        one.accept()
    except BlockingIOError:
        return False
    return True


def _there() -> set[tuple[str, int, int]]:
    """Every file and folder with its inode and the time of its last change."""
    found = [one for place in PLACES for one in Path(place).rglob("*")]
    return {(str(one), one.lstat().st_ino, one.lstat().st_mtime_ns) for one in found}


def main() -> None:
    for place in PLACES:
        subprocess.run(["mount", "-t", "tmpfs", "foreign", place], check=True)
    sockets = {path: _listening(path) for path in SOCKETS}
    for file in map(Path, FILES):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("somebody's")
    before = _there()
    with subprocess.Popen(["kubelet", "600"], executable=shutil.which("sleep")) as foreign:
        with node_with_a_pod(Path(sys.argv[1]), Path(sys.argv[2])):
            pass
        touched = sorted({path for path, *_ in before ^ _there()})
        touched += [path for path, one in sockets.items() if _asked(one)]
        touched += ["the process"] if foreign.poll() is not None else []
        foreign.kill()
    say(f"touched: {', '.join(touched) or 'nothing'}")


if __name__ == "__main__":
    main()
