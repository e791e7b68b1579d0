"""Paths of a node as the host sees them: through /proc/<pid>/root, so that its private mounts are seen too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders of a running node.

    Attributes:
        pid: its first process; another one after a reboot.
    """

    pid: int

    def at(self, path: str | Path) -> Path:
        """Where the host finds the node's `path` (absolute, without symbolic links)."""
        return Path(f"/proc/{self.pid}/root") / str(path).lstrip("/")

    @property
    def kubelet(self) -> Path:
        """The kubelet's folder: pods, checkpoints, sockets."""
        return self.at("/var/lib/kubelet")

    @property
    def device_plugins(self) -> Path:
        """Sockets of device plugins, and the kubelet's own registration socket `kubelet.sock`."""
        return self.kubelet / "device-plugins"

    @property
    def plugins(self) -> Path:
        """Folder of each DRA driver."""
        return self.kubelet / "plugins"

    @property
    def cdi(self) -> Path:
        """CDI specifications that containerd reads (inside: /run/cdi)."""
        return self.at("/run/cdi")

    @property
    def logs(self) -> Path:
        """Logs of pods: <namespace>_<name>_<uid>/<container>/<n>.log."""
        return self.at("/var/log/pods")
