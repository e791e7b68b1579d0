"""A real node for an embedded cluster: real kubelet, containerd, runc and CNI plugins, in namespaces of their own.

    with embedded(directory=folder, nodes=0) as cluster, real_node(cluster, "node-a") as node:
        node.run("my-plugin", [program, "--flag"])      # a process inside the node, beside kubelet and containerd

Nothing of the host is touched: the node has its own PIDs, mounts, network, hostname and cgroup. Foreign kubelets and
containerds are neither seen nor disturbed. The host reaches the node and its pods by their addresses.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.configuration import HEALTH_PORT, PAUSE, SOCKET, WORKLOAD
from gpuassay.cluster.node.files import Whole
from gpuassay.cluster.node.health import healthy
from gpuassay.cluster.node.image import Image
from gpuassay.cluster.node.interior import Interior
from gpuassay.cluster.node.parts import Parts, describe
from gpuassay.cluster.node.shell import Keeping
from gpuassay.cluster.nodes import usable
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.process import Process
from gpuassay.manifest import Manifest
from gpuassay.waiting import wait

READY_SECONDS = 60.0
"""For every step of a start; an idle machine needs two or three for all of them."""
_KILL_WORKLOADS = """
import os, pathlib
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"/workload"):
        os.kill(int(entry.name), 9)
"""
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class Node(Interior):
    """A running node.

    Attributes:
        started: seconds that the steps of the last start took, by step; `ready` is since the very beginning.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        *,
        labels: Mapping[str, str],
        binds: Mapping[Path, str],
        parts: Parts,
        settings: Mapping[str, Any],
        patience: float,
        whole: Whole | None = None,
    ) -> None:
        """Used by `real_node`: nothing is started yet."""
        super().__init__(cluster, name, parts, whole)
        self.started: dict[str, float] = {}
        self._labels, self._binds, self._settings = dict(labels), dict(binds), dict(settings)
        self._patience = patience

    def start(self) -> None:
        """Start everything and wait until the scheduler may use the node; used by `real_node` and `reboot`."""
        begun = time.monotonic()

        def step(name: str) -> None:
            self.started[name] = round(time.monotonic() - begun, 3)

        spec = self._files.spec(self._binds)
        self._keeping = Keeping(spec, self.log("keeper"))
        step("namespaces")
        self._files.write(self.addresses, self._parts, self._settings)
        self._start_containerd()
        step("containerd")
        pause = Image((PAUSE,), (("/pause", self._parts.workload),), ("/pause",))
        side_by_side(
            lambda do: do(),
            [lambda: self.import_image(pause, self.workload_image(WORKLOAD)), self._start_kubelet],
        )
        step("images")
        self._await_ready()
        step("ready")

    def _start_containerd(self) -> None:
        process = self.run("containerd", self._parts.containerd_command(self._files), self._parts.environment())
        socket = self.paths.at(SOCKET)

        def serves() -> bool:
            self._refuse_death(process)
            with suppress(ClusterError):
                return bool(socket.exists() and self.call(self._parts.ctr, "--address", SOCKET, "version"))
            return False

        wait(serves, bool, what=f"containerd of node {self.name}", timeout=READY_SECONDS, delay=0.03)

    def _start_kubelet(self) -> None:
        self.run("kubelet", self._parts.kubelet_command(self._files, self.name, self.addresses.node, self._labels))

    def _refuse_death(self, *processes: Process) -> None:
        for process in processes:
            if death := process.death():
                if lack := checks.used_up(death.lines):
                    raise ClusterError(f"node {self.name} does not start: {lack}") from death
                raise death

    def _await_ready(self) -> None:
        kubelet, containerd = self._process("kubelet"), self._process("containerd")

        def ready() -> bool:
            self._refuse_death(kubelet, containerd)
            found = self.object()
            return found is not None and usable(found)

        wait(ready, bool, what=f"node {self.name} to be Ready", timeout=self._patience, delay=0.05)

    def _process(self, name: str) -> Process:
        return self.cluster.processes[f"{self.name}-{name}"]

    def object(self) -> Manifest | None:
        """Its Node object."""
        return self.cluster.api.get("Node", self.name)

    def stop_kubelet(self, *, kill: bool = False) -> None:
        """End the kubelet: in order, or as a crash; pods go on running."""
        self._process("kubelet").kill() if kill else self._process("kubelet").stop(10)

    def start_kubelet(self) -> None:
        """Start it again and wait until it says that it is healthy."""
        self._start_kubelet()
        self._await_health(self._process("kubelet"))

    def restart_kubelet(self, *, kill: bool = False) -> None:
        """End and start the kubelet; returns once it is healthy."""
        self.stop_kubelet(kill=kill)
        self.start_kubelet()

    def restart_containerd(self, *, kill: bool = False) -> None:
        """End and start containerd, while containers go on running; returns once it serves."""
        process = self._process("containerd")
        process.kill() if kill else process.stop(10)
        self.paths.at(SOCKET).unlink(missing_ok=True)
        self._start_containerd()

    def end_containers(self) -> None:
        """Kill every process of our workload program inside, behind the kubelet's back."""
        self.call(sys.executable, "-ISc", _KILL_WORKLOADS)

    def _await_health(self, kubelet: Process) -> None:
        def look() -> bool:
            self._refuse_death(kubelet)
            return healthy(self.addresses.pid, HEALTH_PORT)

        wait(look, bool, what=f"the kubelet of node {self.name} to be healthy", timeout=READY_SECONDS, delay=0.05)

    def reboot(self) -> None:
        """Kill everything inside at once, as a power failure does, and start the node again with its files.

        Programs that were started with `run` are not started again. The address may be another one afterwards.
        """
        self._down(keep_files=True)
        self.start()
        self._await_health(self._process("kubelet"))  # the Node object may still be Ready from before

    def stop(self) -> None:
        """Kill everything inside; nothing is left of the node but its logs."""
        self._down(keep_files=False)
        with suppress(ApiRefused, ClusterError):
            self.cluster.api.delete("Node", self.name)

    def _down(self, *, keep_files: bool) -> None:
        if self._keeping is None:
            return
        for name in self.cluster.processes:
            if name.startswith(f"{self.name}-"):
                self.cluster.supervisor.forget(name)  # what died while starting was told to the caller
        keeping, self._keeping = self._keeping, None
        keeping.end(keep_files=keep_files)


@contextmanager
def real_node(
    cluster: Cluster,
    name: str = "node",
    *,
    labels: Mapping[str, str] | None = None,
    binds: Mapping[Path, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    patience: float = READY_SECONDS,
    whole: Whole | None = None,
) -> Generator[Node]:
    """Run a real node of an embedded cluster for the length of a `with` block.

    Args:
        cluster: an embedded cluster.
        name: of the Node object; unique in the cluster.
        labels: further labels of the Node object.
        binds: host folders that are mounted inside, by their paths there (which exist): `{folder: "/proc/driver"}`.
        settings: fields of the KubeletConfiguration that replace ours, such as `{"featureGates": {...}}`.
        patience: seconds until it must be Ready, once its programs run.
        whole: what makes it a node of a whole cluster.

    Raises:
        ClusterError: rights or programs are missing, or a part does not start; one line says which and what to do.
        gpuassay.waiting.WaitTimeout: a step took too long.
    """
    if not NAME.fullmatch(name):
        raise ClusterError(f"{name!r} cannot be a node's name: up to 40 lower-case letters, digits and inner dashes")
    if cluster.provider != "embedded":
        raise ClusterError(f"{cluster.description}: real nodes are only added to embedded clusters")
    if lack := checks.machine():
        raise ClusterError(lack)
    parts = Parts.get(cluster.assets)
    if lack := checks.hidden([cluster.directory, *parts.folders, *(binds or {})]):
        raise ClusterError(lack)
    if name in cluster.real_nodes:
        raise ClusterError(f"{cluster.description} has a node {name!r} already")
    node = Node(
        cluster, name, labels=labels or {}, binds=binds or {}, parts=parts, settings=settings or {}, patience=patience,
        whole=whole,
    )  # fmt: skip
    try:
        node.start()
        cluster.real_nodes[name] = node
        describe(cluster, parts)
        yield node
    finally:
        cluster.real_nodes.pop(name, None)
        node.stop()
