"""An NVIDIA program on a real node: started, watched, killed and started again."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from gpuassay import silicon, toolchain
from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node.real import Node
from gpuassay.cluster.process import Process
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.component import fake_driver as driver_root
from gpuassay.waiting import wait

READY_SECONDS = 30.0


Program = tuple[Path, Component]
"""A program's file, and what reports say of it."""


def upstream(node: Node, component: str, program: str, assets: toolchain.Assets | None = None) -> Program:
    """A program of our toolchain's `component`, of the version that `assets` choose; of the cluster's if None.

    Raises:
        gpuassay.toolchain.errors.ToolchainError: it cannot be had.
    """
    programs = toolchain.programs(component, assets or node.cluster.assets)
    return programs.path(program), Component.of(programs, program)


class Mortal(Protocol):
    """Something that may end while one waits for it."""

    def refuse_death(self) -> None:
        """Raise ClusterError if it has ended, with its last word."""
        ...


class Part:
    """A program inside a node that can be started again with the same command line.

    Attributes:
        node: where it runs.
        name: unique on the node.
        program: its file.
    """

    def __init__(
        self, node: Node, name: str, program: Program, arguments: Sequence[object], env: Mapping[str, str]
    ) -> None:
        """Nothing is started yet."""
        self.node, self.name = node, name
        self.program, component = program
        self._arguments, self._env = [str(one) for one in arguments], dict(env)
        self._process: Process | None = None
        self._tell(component)

    def _tell(self, component: Component) -> None:
        # A program that has no fake driver is given no fake GPUs.
        emulated = [driver_root.EMULATED] if silicon.ENVIRONMENT in self._env else []
        self.node.cluster.tell([component], emulated)

    def become(self, program: Program) -> None:
        """Have the next start run another version, with the same command line and environment."""
        self.program, component = program
        self._tell(component)

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.alive

    @property
    def log(self) -> Path:
        """Its output, of all starts."""
        return self.node.log(self.name)

    def start(self) -> None:
        """Start it; what makes it ready is the caller's to wait for.

        Raises:
            ClusterError: it runs already.
        """
        self._process = self.node.run(self.name, [self.program, *self._arguments], self._env)

    def await_ready(self) -> None:
        """Wait until it serves.

        Raises:
            ClusterError: it ended meanwhile; its last word is the message.
            gpuassay.waiting.WaitTimeout: it does not come to that.
        """
        raise NotImplementedError

    @contextmanager
    def running(self) -> Generator[Self]:
        """Started and ready, for the length of a `with` block; raises as `start` and `await_ready`."""
        self.start()
        try:
            self.await_ready()
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop(5)

    def kill(self) -> None:
        """SIGKILL, as a crash that was ordered."""
        if self._process is not None:
            self._process.kill()

    def refuse_death(self) -> None:
        """Raise ClusterError if it has ended, with its last word."""
        if self._process is not None and not self._process.alive:
            lines = [line for line in self._process.tail(50) if line.strip()]
            self.node.cluster.supervisor.forget(f"{self.node.name}-{self.name}")
            raise ClusterError(
                f"{self.name} on node {self.node.name} has ended: {lines[-1] if lines else '(it printed nothing)'}"
            )


def allocatable(node: Node) -> dict[str, int]:
    """Extended resources that the node offers now, of any domain but Kubernetes' own; zero ones too."""
    return _resources(node.object(), "allocatable")


def capacity(node: Node) -> dict[str, int]:
    """As `allocatable`, of the node's capacity."""
    return _resources(node.object(), "capacity")


def _resources(found: Manifest | None, which: str) -> dict[str, int]:
    values: dict[str, str] = dig(found or {}, "status", which, default={})
    return {name: int(value) for name, value in values.items() if "/" in name}


def await_allocatable(
    node: Node, expected: Mapping[str, int], *, part: Mortal | None = None, timeout: float = READY_SECONDS
) -> None:
    """Wait until the node offers at least `expected` and each exactly.

    Raises:
        ClusterError: `part` ended meanwhile.
        gpuassay.waiting.WaitTimeout: it does not come to that.
    """

    def look() -> dict[str, int]:
        if part is not None:
            part.refuse_death()
        return allocatable(node)

    def as_expected(seen: dict[str, int]) -> bool:
        return all(seen.get(name, 0) == count for name, count in expected.items())

    wait(look, as_expected, what=f"node {node.name} to offer {dict(expected)}", timeout=timeout, delay=0.05)
