"""Where a run takes place: which cluster, of ours or somebody's, each pool gets."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from gpuassay import toolchain
from gpuassay.capabilities import PROGRAM
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import ONE_CLUSTER, ClusterPool, programs_of
from gpuassay.settings import Settings
from gpuassay.system import Pool, systems
from gpuassay.toolchain import catalogue, das
from gpuassay.toolchain.assets import NEVER_BUILT
from gpuassay.toolchain.catalogue import COMPONENTS


@dataclass(frozen=True)
class Provider:
    """Where a run takes place.

    Attributes:
        open: opens the environment of a pool on behalf of a run.
        only: the one pool that there is, where clusters cannot be opened side by side.
        programs: components that a pool waits for, built where they are missing.
        assets: directories that users name for components.
        absent: capabilities that no cluster will have, known before any is opened.
    """

    open: Callable[[Host, ClusterPool], AbstractContextManager[Environment]]
    only: Pool | None = None
    programs: Callable[[ClusterPool], Sequence[str]] = lambda _: ()
    assets: toolchain.Assets = field(default_factory=toolchain.Assets)
    absent: frozenset[str] = frozenset()


def provider_for(settings: Settings) -> Provider:
    """The place that the command line asks for.

    Raises:
        ToolchainError: an `--asset` is not of the form NAME=DIR or lacks a program, or `--build` names something
            unknown; one line says which.
        ClusterError: the existing cluster, or what options say of it, cannot be used. Systems raise their own.
    """
    assets = toolchain.Assets.parse(settings.assets)
    _refuse_incomplete(assets)
    elsewhere = [found for one in systems().values() if one.elsewhere and (found := one.elsewhere(settings))]
    if settings.existing:
        from gpuassay.engine.existing import WIDTH, existing_environment

        opens = elsewhere[0] if elsewhere else existing_environment(settings)
        only = Pool(ONE_CLUSTER, opens, WIDTH)
        return Provider(lambda run, pool: only.open(run, pool, assets), only, absent=_absent(assets))
    if settings.cluster == "kind":
        from gpuassay.engine.kind import kind_pool

        made = kind_pool(settings)
        return Provider(lambda run, pool: made.open(run, pool, assets), made, absent=_absent(assets))
    if not sys.platform.startswith("linux"):
        raise ClusterError("a cluster of ours needs Linux; here: --cluster existing, or --replay RUN")
    asked = catalogue.selected(settings.build) if settings.build else []
    return Provider(
        lambda run, pool: pool.kind.open(run, pool, assets),
        programs=lambda pool: programs_of(pool, asked),
        assets=assets,
        absent=_absent(assets),
    )


def _absent(assets: toolchain.Assets) -> frozenset[str]:
    """What only users can bring, and have not brought."""
    names = [name for name in NEVER_BUILT if assets.directory(name) is None and shutil.which(name) is None]
    return frozenset([*names, *(f"{PROGRAM}{name}" for name in names)])


def _refuse_incomplete(assets: toolchain.Assets) -> None:
    for name in assets.explicit:
        if name == das.ASSET:
            das.find(assets)
        elif name in COMPONENTS:
            assets.programs(COMPONENTS[name])
