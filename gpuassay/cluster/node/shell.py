"""A node's namespaces, as their owner sees them: the keeper's start and end, and processes inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpuassay
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node import cgroups
from gpuassay.environment import inherited

_ROOT = str(Path(gpuassay.__file__).parents[1])
_ENVIRONMENT = {"PYTHONPATH": _ROOT, "PYTHONDONTWRITEBYTECODE": "1"}

START_SECONDS = 30.0
END_SECONDS = 60.0
"""For the removal of all files, on a busy disk."""


@dataclass(frozen=True)
class Addresses:
    """Where a node is reached.

    Attributes:
        pid: its first process, in our PIDs.
        node: the kubelet's address.
        gateway: the host's address, as the node and its pods see it.
        interface: the host's network interface.
    """

    pid: int
    node: str
    gateway: str
    interface: str


class Keeping:
    """A keeper (`gpuassay.cluster.node.keeper`) and the namespaces that it keeps."""

    def __init__(self, spec: Mapping[str, Any], log: Path) -> None:
        """Start it and wait until the namespaces are there.

        Args:
            spec: name, folder, cgroup, api_port, binds.
            log: file for what it complains about.

        Raises:
            ClusterError: they cannot be made; in the kernel's words.
        """
        self._spec = spec
        folder = Path(spec["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "node.json"
        file.write_text(json.dumps({**spec, "owner": os.getpid()}))
        # Not under the supervisor: it must live on for a moment when we are killed.
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "gpuassay.cluster.node.keeper", str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                cwd="/",
                env=inherited() | _ENVIRONMENT,
                start_new_session=True,
            )
        try:
            told = self._told()
        except BaseException:
            self.end()
            raise
        self.addresses = Addresses(told["pid"], told["address"], told["gateway"], told["interface"])

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Timer(START_SECONDS, self._process.terminate)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        told: dict[str, Any] = json.loads(line or "{}")
        if "pid" not in told:
            raise ClusterError(f"the node's namespaces cannot be made: {told.get('error', 'the keeper died')}")
        return told

    @property
    def alive(self) -> bool:
        """Whether the namespaces stand."""
        return self._process.poll() is None

    def end(self, *, keep_files: bool = False) -> None:
        """Kill everything inside and wait until nothing is left.

        Raises:
            ClusterError: the keeper does not come to its end.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            if keep_files and self.alive:
                self._process.stdin.write(b"keep\n")
            self._process.stdin.close()
            self._process.wait(END_SECONDS)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()  # the node dies with it; its cgroups and files stay
            self._process.wait()
            raise ClusterError(f"a node's keeper did not end within {END_SECONDS:g} s and was killed") from None
        finally:
            self._process.stdout.close()
            if self._process.returncode:
                self._clear()

    def _clear(self) -> None:
        """Remove what a keeper that was killed has left; the kernel has taken the rest."""
        cgroups.remove(self._spec["cgroup"], cgroups.hierarchies())
        shutil.rmtree(self._spec["folder"], ignore_errors=True)


def inside_command(pid: int, argv: Sequence[str | Path]) -> list[str | Path]:
    """Command line that runs `argv` inside the node whose first process is `pid`."""
    return [sys.executable, "-S", "-m", "gpuassay.cluster.node.enter", str(pid), *argv]


def inside_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment for `inside_command`: ours finds our package, the program's is added."""
    return {**_ENVIRONMENT, **environment}
