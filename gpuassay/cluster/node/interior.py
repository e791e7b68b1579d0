"""The inside of a running node: its folders as the host sees them, programs beside kubelet and containerd, images."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node import image
from gpuassay.cluster.node.configuration import SOCKET
from gpuassay.cluster.node.files import Files, Whole
from gpuassay.cluster.node.image import Image
from gpuassay.cluster.node.parts import Parts
from gpuassay.cluster.node.places import Places
from gpuassay.cluster.node.shell import Addresses, Keeping, inside_command, inside_environment
from gpuassay.cluster.process import Process
from gpuassay.environment import inherited

CALL_SECONDS = 60.0
"""For one short command inside."""


class Interior:
    """What can be done in a node while it runs.

    Attributes:
        name: of its Node object.
        cluster: whose node it is.
    """

    def __init__(self, cluster: Cluster, name: str, parts: Parts, whole: Whole | None = None) -> None:
        """Nothing is started yet."""
        self.name, self.cluster = name, cluster
        self._parts = parts
        self._files = Files(cluster, name, whole)
        self._keeping: Keeping | None = None

    @property
    def addresses(self) -> Addresses:
        """Its first process, its address, the host's address.

        Raises:
            ClusterError: it is not running.
        """
        if self._keeping is None:
            raise ClusterError(f"node {self.name} is not running")
        return self._keeping.addresses

    @property
    def paths(self) -> Places:
        """Its folders as the host sees them."""
        return Places(self.addresses.pid)

    @property
    def kubeconfig(self) -> Path:
        """The kubelet's own credentials (system:node:<name>); the same path inside and outside."""
        return self._files.kubeconfig

    @property
    def cgroup(self) -> str:
        """Name of the cgroup, in every hierarchy, beneath which all its pods are."""
        return self._files.cgroup

    # --- processes inside ------------------------------------------------------------------------------------------

    def command(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """Command line that runs `argv` inside; valid until the node is rebooted."""
        return inside_command(self.addresses.pid, argv)

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment to start `command` with."""
        return inside_environment(env or {})

    def run(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Process:
        """Start a program inside the node under the cluster's supervisor; its log is `log(name)`.

        Raises:
            ClusterError: a program of that name runs already.
        """
        known = f"{self.name}-{name}"
        before = self.cluster.processes.get(known)
        if before is not None and before.alive:
            raise ClusterError(f"{known} runs already")
        self.cluster.supervisor.forget(known)
        return self.cluster.supervisor.start(known, self.command(argv), self.log(name), env=self.environment(env))

    def log(self, name: str) -> Path:
        """Log file of a program inside."""
        return self._files.log(name)

    def call(self, *argv: str | Path, timeout: float = CALL_SECONDS, env: Mapping[str, str] | None = None) -> str:
        """Run a short command inside to its end, with `env` added to its environment; its standard output.

        Raises:
            ClusterError: it fails; its last words are the message.
        """
        try:
            done = subprocess.run(
                self.command(argv), env=inherited() | dict(self.environment(env)), timeout=timeout,
                capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{Path(argv[0]).name} on node {self.name} took more than {timeout:g} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["(it printed nothing)"]
            raise ClusterError(f"{Path(argv[0]).name} on node {self.name} failed ({done.returncode}): {said[-1]}")
        return done.stdout

    # --- images ----------------------------------------------------------------------------------------------------

    def import_image(self, *images: Image) -> None:
        """Make images known to containerd under all their names, as if they had been pulled.

        Raises:
            ClusterError: they cannot be written or imported, such as for want of space.
        """
        archive = self._files.folder / "images.tar"
        ctr = (self._parts.ctr, "--address", SOCKET, "--namespace", "k8s.io")
        try:
            image.write_archive(archive, images)
            self.call(*ctr, "images", "import", "--local", archive)
        except OSError as error:
            raise ClusterError(f"images for node {self.name} cannot be written: {error.strerror}: {archive}") from None
        finally:
            archive.unlink(missing_ok=True)

    def workload_image(self, *names: str) -> Image:
        """Our workload program as an image of those names."""
        return Image(names, (("/workload", self._parts.workload),), ("/workload",))
