"""Clusters with systems on them for plain pytest tests: no scenario, no recording that is kept, no verdict."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpuassay.engine.environment import Environment
from gpuassay.engine.pools import ClusterPool, Unavailable
from gpuassay.engine.provider import provider_for
from gpuassay.engine.runner import remedy
from gpuassay.record import rundir
from gpuassay.scenarios.declare import Scenario
from gpuassay.scenarios.lab import Lab
from gpuassay.settings import Settings
from gpuassay.system import System, get, pool

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Host:
    directory: Path
    mutant: str | None
    say: Say


@contextmanager
def environment(settings: Settings, system: str, folder: Path, say: Say) -> Generator[Environment]:
    """A cluster with a system on it and a recorder watching, for the length of a `with` block.

    Args:
        settings: say whether it is ours or somebody's.
        system: name of the system (`gpuassay.system`).
        folder: for logs and kubeconfig.
        say: is told how far things are.

    Raises:
        Unavailable: this machine cannot have such a cluster; one line says why.
        ClusterError: somebody's cluster cannot be used, or ours cannot be started.
    """
    provider = provider_for(settings)
    run = rundir.new_run_dir(folder)  # its name labels all that is created, and is unique on any cluster
    rundir.begin(run, mode="fixtures", replay_of=None, mutant=settings.mutant, command=["pytest"])
    chosen = provider.only or pool(get(system).pools[0].name)
    ended = threading.Event()
    with provider.open(_Host(run, settings.mutant, say), ClusterPool(chosen, ())) as environment:
        environment.watch(until=ended)
        try:
            yield environment
        finally:
            ended.set()


@contextmanager
def lab_of(environment: Environment, system: System, name: str, say: Say) -> Generator[Lab]:
    """What a test acts with, in a namespace of its own that is removed at the end of the `with` block.

    Raises:
        Unavailable: the cluster lacks what the system's tests need.
    """
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24].strip("-") or "test"

    def nothing(_: Lab) -> None:
        """Whoever asked for the lab acts."""

    asked = Scenario(short, nothing, system.name, "default", "", system.needs, 60, __name__)
    if lacking := sorted(environment.lacking(asked)):
        raise Unavailable(f"the cluster lacks: {', '.join(lacking)}{remedy(lacking)}")
    lab = environment.lab(asked, f"{short}-x{secrets.token_hex(3)}", full=False, progress=say)
    environment.prepare(lab)
    try:
        yield lab
    finally:
        environment.clear(lab, system.swept)
