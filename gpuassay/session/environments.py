"""Clusters that plain tests share: one for each system that they ask for, opened when the first test asks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpuassay.settings import Settings
from gpuassay.system import System, get

if TYPE_CHECKING:  # cluster clients: only where a test asks for a cluster
    from gpuassay.engine.environment import Environment
    from gpuassay.scenarios.lab import Lab


@dataclass(frozen=True)
class FixtureEnvironment:
    """A cluster with a system on it.

    Attributes:
        system: what stands there.
        opened: the open cluster, with a recorder that watches it.
    """

    system: System
    opened: Environment

    def require(self, *capabilities: str) -> None:
        """Skip the test by type where the cluster lacks one."""
        from gpuassay.engine.runner import remedy

        if lacking := sorted(set(capabilities) - self.opened.capabilities):
            pytest.skip(f"the cluster lacks: {', '.join(lacking)}{remedy(lacking)}")

    @contextmanager
    def lab(self, name: str) -> Generator[Lab]:
        """What a test acts with, in a namespace of its own; skips the test where the cluster lacks what it needs."""
        from gpuassay.engine.provisioning import lab_of

        with skipping(), lab_of(self.opened, self.system, name, print) as made:
            yield made


@dataclass
class Environments:
    """Clusters that are open.

    Attributes:
        config: pytest's, with the options that say whose clusters.
        folder: for their files.
    """

    config: pytest.Config
    folder: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    _open: dict[str, FixtureEnvironment] = field(default_factory=dict[str, FixtureEnvironment])
    _absent: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, system: str) -> FixtureEnvironment:
        """The cluster with that system; skips the test where this machine cannot have it."""
        from gpuassay.engine.pools import Unavailable
        from gpuassay.engine.provisioning import environment
        from gpuassay.toolchain import UnobtainableError

        if system in self._absent:
            pytest.skip(self._absent[system])
        if system not in self._open:
            opening = environment(Settings.of(self.config.option), system, self.folder / system, print)
            try:
                self._open[system] = FixtureEnvironment(get(system), self._stack.enter_context(opening))
            except (Unavailable, UnobtainableError) as lack:
                self._absent[system] = str(lack)
                pytest.skip(str(lack))
        return self._open[system]


@contextmanager
def opened(config: pytest.Config, folder: Path) -> Generator[Environments]:
    """Close every cluster at the end of the `with` block."""
    found = Environments(config, folder)
    with found._stack:  # pyright: ignore[reportPrivateUsage]
        yield found


@contextmanager
def skipping() -> Generator[None]:
    """Skip the test by type where something cannot be had; what broke stays an error."""
    from gpuassay.engine.pools import Unavailable
    from gpuassay.toolchain import UnobtainableError

    try:
        yield
    except (Unavailable, UnobtainableError) as lack:
        pytest.skip(str(lack))
