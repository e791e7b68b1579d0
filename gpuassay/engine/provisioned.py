"""What a run installs on somebody's cluster before its scenarios, and takes away after them."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.engine.environment import Host
from gpuassay.provision.install import Site, found, install
from gpuassay.provision.objects import Objects
from gpuassay.provision.options import INSTALL, NEVER, REINSTALL, Asked
from gpuassay.provision.plan import decide, informed, refuse_doubled
from gpuassay.provision.registry import component
from gpuassay.provision.remove import Removal, remove
from gpuassay.toolchain import Assets
from gpuassay.waiting import resume

REPORT = "provisioned.json"
"""In the run directory: what was installed, and what came of its removal."""


def check(cluster: Cluster, asked: Sequence[Asked], assets: Assets) -> None:
    """Refuse at once what cannot be done.

    Raises:
        ClusterError: one line says why.
    """
    objects = Objects(cluster.api)
    wanted = {one.name: component(one.name) for one in asked if one.mode in (INSTALL, REINSTALL)}
    beside = list(wanted.values())
    refuse_doubled(beside, objects)
    for one in asked:
        if provided := wanted.get(one.name):
            step = decide(provided, objects, reinstall=one.mode == REINSTALL, wanted=beside)
            if step.install:
                provided.content(assets, informed(one.wish, beside, objects))


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
    site = Site(cluster, run.directory.name, run.directory / "provision", assets, run.say)
    begun: list[str] = []
    wanted = [component(one.name) for one in asked if one.mode in (INSTALL, REINSTALL)]
    try:
        for one in asked:
            if one.mode not in (INSTALL, REINSTALL):
                continue
            provided = component(one.name)
            step = decide(provided, Objects(cluster.api), reinstall=one.mode == REINSTALL)
            if step.remove_first:
                remove(site, provided)
            if step.install:
                begun.append(one.name)
                install(site, provided, informed(one.wish, wanted, Objects(cluster.api)))
            else:
                run.say(f"{one.name}: {step.words}")
            cluster.capabilities |= {provided.capability} - {""}
        yield
    finally:
        resume()  # a run that was broken off cleans up as any other
        removals = {name: _removed(site, name) for name in reversed(begun)}
        if begun:
            _write(run.directory, removals)


def _removed(site: Site, name: str) -> Removal:
    provided = component(name)
    there = found(provided, Objects(site.cluster.api))
    return remove(site, provided, force=True) if there and there.run == site.run else Removal()


def _write(folder: Path, removals: dict[str, Removal]) -> None:
    (folder / REPORT).write_text(json.dumps({name: asdict(one) for name, one in removals.items()}, indent=1))
    different = [f"{name}: {line}" for name, one in removals.items() for line in one.differences]
    if different:
        with (folder / "leaks.txt").open("a") as file:
            file.writelines(f"{line}\n" for line in different)
