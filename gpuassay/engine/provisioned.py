"""What a run installs on somebody's cluster before its scenarios, and takes away after them."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.patient import PatientApi
from gpuassay.engine.environment import Host
from gpuassay.provision.component import Provided
from gpuassay.provision.install import Target, found, install, use
from gpuassay.provision.objects import Objects
from gpuassay.provision.options import INSTALL, NEVER, REINSTALL, Asked
from gpuassay.provision.plan import Wanted, plan
from gpuassay.provision.registry import component
from gpuassay.provision.remove import Removal, remove
from gpuassay.toolchain import Assets
from gpuassay.waiting import WaitError, resume

REPORT = "provisioned.json"
"""In the run directory: what was installed, and what came of its removal."""


def check(cluster: Cluster, asked: Sequence[Asked], assets: Assets) -> None:
    """Refuse at once what cannot be done.

    Raises:
        ClusterError: one line says why.
    """
    plan(_wanted(asked), Objects(cluster.api), assets)


def _wanted(asked: Sequence[Asked]) -> list[Wanted]:
    installed = [one for one in asked if one.mode in (INSTALL, REINSTALL)]
    return [Wanted(component(one.name), one.wish, one.mode == REINSTALL) for one in installed]


def withheld(asked: Sequence[Asked]) -> frozenset[str]:
    """Capabilities that are left out although the cluster may have them."""
    return frozenset(component(one.name).capability for one in asked if one.mode == NEVER) - {""}


@contextmanager
def provisioned(run: Host, cluster: Cluster, asked: Sequence[Asked], assets: Assets) -> Generator[None]:
    """Have the components that are asked for, for the length of a `with` block; what was installed here is removed.

    What upstream's own uninstall leaves behind stands in `REPORT`; what differs from before the run, in `leaks.txt`.

    Raises:
        ClusterError: a component cannot be installed, or does not work; one line says why.
    """
    patient = replace(cluster, api=PatientApi(cluster.api))
    site = Target(patient, run.directory.name, run.directory / "provision", assets, run.say)
    begun: list[Provided] = []
    try:
        for one, step in plan(_wanted(asked), Objects(cluster.api), assets):
            if step.remove_first:
                remove(site, one.provided)
            if step.install:
                begun.append(one.provided)
                install(site, one.provided, one.wish)
            else:
                run.say(f"{one.provided.name}: {step.words}")
                _await_used(site, one.provided)
            cluster.capabilities |= ({one.provided.capability} | one.provided.further) - {""}
        yield
    finally:
        resume()  # a run that was broken off cleans up as any other
        removals = {one.name: _removed(site, one) for one in reversed(begun)}
        if begun:
            _write(run.directory, removals)


def _await_used(site: Target, provided: Provided) -> None:
    """Another run may still be installing it; what is broken is judged as it is, and told."""
    try:
        use(site, provided)
    except ClusterError as broken:
        site.say(str(broken))


def _removed(site: Target, provided: Provided) -> Removal:
    """Remove what this run has installed; where somebody has begun to use it, it stays, and that is told."""
    there = found(provided, Objects(site.cluster.api))
    if there is None or there.run != site.run:
        return Removal()
    try:
        return remove(site, provided)
    except (ClusterError, WaitError) as error:
        return Removal(differences=[str(error)])


def _write(folder: Path, removals: dict[str, Removal]) -> None:
    (folder / REPORT).write_text(json.dumps({name: asdict(one) for name, one in removals.items()}, indent=1))
    different = [f"{name}: {line}" for name, one in removals.items() for line in one.differences]
    if different:
        with (folder / "leaks.txt").open("a") as file:
            file.writelines(f"{line}\n" for line in different)
