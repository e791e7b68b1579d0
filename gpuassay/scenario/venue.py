"""Where a run takes place: which cluster, of ours or somebody's, each lane gets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.errors import ClusterError
from gpuassay.scenario.gateway_options import gateway_options
from gpuassay.scenario.lanes import OPERATOR, PLATFORM, ROUTING, SLICES, Lane, Unavailable
from gpuassay.scenario.stage import Host, Stage
from gpuassay.toolchain import das
from gpuassay.toolchain.catalogue import COMPONENTS


@dataclass(frozen=True)
class Venue:
    """Where a run takes place.

    Attributes:
        open: opens the stage of a lane on behalf of a run.
        several: clusters may be opened side by side.
    """

    open: Callable[[Host, Lane], AbstractContextManager[Stage]]
    several: bool


def venue_for(option: argparse.Namespace) -> Venue:
    """The place that the command line asks for.

    Raises:
        ToolchainError: an `--asset` is not of the form NAME=DIR or lacks a program; one line says which.
        BadGatewayOption: an option about somebody's gateway cannot be used.
        ClusterError: the existing cluster cannot be used.
    """
    assets = toolchain.Assets.parse(option.asset)
    _refuse_incomplete(assets)
    named = gateway_options(option)
    if option.cluster == "existing":
        if named is not None:
            from gpuassay.scenario.existing_gateway import gateway_stage

            return Venue(gateway_stage(option, named), several=False)
        from gpuassay.scenario.existing import existing_stage

        return Venue(existing_stage(option), several=False)
    for install in ("install_kueue", "install_gpu_operator"):
        if getattr(option, install, None):
            raise ClusterError(f"--{install.replace('_', '-')}: only with --cluster existing")

    def embedded_venue(run: Host, lane: Lane) -> AbstractContextManager[Stage]:
        if lane.name == ROUTING:
            from gpuassay.scenario.routing_stage import routing_stage

            return routing_stage(run, lane, assets)
        if lane.name in (SLICES, PLATFORM):
            from gpuassay.scenario.slices_stage import slices_stage

            return slices_stage(run, lane, assets)
        if lane.name == OPERATOR:
            where = "--cluster existing --gpuassay-kubeconfig FILE"
            raise Unavailable(f"the cluster lacks: {base.GPU_OPERATOR} (a cluster that has one: {where})")
        from gpuassay.scenario.kueue_stage import kueue_stage

        return kueue_stage(run, lane, assets)

    return Venue(embedded_venue, several=True)


def _refuse_incomplete(assets: toolchain.Assets) -> None:
    for name in assets.explicit:
        if name == das.ASSET:
            das.find(assets)
        elif name in COMPONENTS:
            assets.programs(COMPONENTS[name])
