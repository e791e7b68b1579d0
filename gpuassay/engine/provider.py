"""Where a run takes place: which cluster, of ours or somebody's, each lane gets."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.node import checks
from gpuassay.engine.environment import Host, Stage
from gpuassay.engine.pools import OPERATOR, PLATFORM, ROUTING, SLICES, Lane, Unavailable, programs_of
from gpuassay.systems.llmd.existing.options import gateway_options
from gpuassay.toolchain import catalogue, das
from gpuassay.toolchain.catalogue import COMPONENTS


@dataclass(frozen=True)
class Venue:
    """Where a run takes place.

    Attributes:
        open: opens the stage of a lane on behalf of a run.
        several: clusters may be opened side by side.
        programs: components that a lane waits for, built where they are missing.
        assets: directories that users name for components.
    """

    open: Callable[[Host, Lane], AbstractContextManager[Stage]]
    several: bool
    programs: Callable[[Lane], Sequence[str]] = lambda _: ()
    assets: toolchain.Assets = field(default_factory=toolchain.Assets)


def venue_for(option: argparse.Namespace) -> Venue:
    """The place that the command line asks for.

    Raises:
        ToolchainError: an `--asset` is not of the form NAME=DIR or lacks a program, or `--build` names something
            unknown; one line says which.
        BadGatewayOption: an option about somebody's gateway cannot be used.
        ClusterError: the existing cluster cannot be used.
    """
    assets = toolchain.Assets.parse(option.asset)
    _refuse_incomplete(assets)
    named = gateway_options(option)
    if option.cluster == "existing":
        if named is not None:
            from gpuassay.systems.llmd.existing.environment import gateway_stage

            return Venue(gateway_stage(option, named), several=False)
        from gpuassay.engine.existing import existing_stage

        return Venue(existing_stage(option), several=False)
    for install in ("install_kueue", "install_gpu_operator"):
        if getattr(option, install, None):
            raise ClusterError(f"--{install.replace('_', '-')}: only with --cluster existing")

    def embedded_venue(run: Host, lane: Lane) -> AbstractContextManager[Stage]:
        if lane.name == ROUTING:
            from gpuassay.systems.llmd.environment import routing_stage

            return routing_stage(run, lane, assets)
        if lane.name in (SLICES, PLATFORM):
            from gpuassay.systems.slices.environment import slices_stage

            return slices_stage(run, lane, assets)
        if lane.name == OPERATOR:
            where = "--cluster existing --gpuassay-kubeconfig FILE"
            raise Unavailable(f"the cluster lacks: {base.GPU_OPERATOR} (a cluster that has one: {where})")
        from gpuassay.systems.kueue.environment import kueue_stage

        return kueue_stage(run, lane, assets)

    asked = catalogue.selected(option.build) if option.build else []

    def programs(lane: Lane) -> Sequence[str]:
        if lane.name in (SLICES, PLATFORM) and checks.machine():
            return ()  # no real node can be had here: opening the lane says why
        return programs_of(lane, asked)

    return Venue(embedded_venue, True, programs, assets)


def _refuse_incomplete(assets: toolchain.Assets) -> None:
    for name in assets.explicit:
        if name == das.ASSET:
            das.find(assets)
        elif name in COMPONENTS:
            assets.programs(COMPONENTS[name])
