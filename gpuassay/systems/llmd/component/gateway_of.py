"""The gateway of an arm: none, an Envoy with a fixed configuration, or one that Istio configures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.component import addresses
from gpuassay.systems.llmd.component.picker import Picker
from gpuassay.systems.llmd.component.spec import ISTIO, Arm
from gpuassay.systems.llmd.gateway import istio
from gpuassay.systems.llmd.gateway.ads import Node
from gpuassay.systems.llmd.gateway.configuration import Plan
from gpuassay.systems.llmd.gateway.envoy import Envoy
from gpuassay.systems.llmd.gateway.istio import IstioGateway, Setup
from gpuassay.systems.llmd.gateway.istio_objects import GATEWAY
from gpuassay.systems.llmd.gateway.istiod import Istiod, Ports

PORTS = 6
"""Ports that a gateway may need: requests, admin interface, and four of Istio's control plane."""


def hosts(arm: Arm) -> list[str]:
    """Addresses of the replicas: each a loopback address of its own, or behind Istio all the machine's own.

    Raises:
        ClusterError: Istio is wanted and the machine has only loopback addresses.
    """
    if arm.gateway != ISTIO and not arm.own_address:
        block = addresses.block()
        return [f"{block}.{11 + number}" for number in range(arm.replicas)]
    return [machine_address()] * arm.replicas


def machine_address() -> str:
    """This machine's own address, for Pods behind Istio.

    Raises:
        ClusterError: it has only loopback addresses.
    """
    found = istio.own_address()
    if found is None:
        raise ClusterError(
            "Istio's gateway needs an IPv4 address of this machine besides loopback, since EndpointSlices take no "
            "127.0.0.0/8: give an interface one (such as `ip link add assay0 type dummy` and an address on it)"
        )
    return found


def gateway(
    cluster: Cluster,
    folder: Path,
    namespace: str,
    arm: Arm,
    picker: Picker | None,
    ports: Sequence[int],
    targets: Sequence[int],
) -> Envoy | None:
    """The gateway of an arm, not started; None where it has none.

    Args:
        cluster: whose supervisor owns the processes.
        folder: for configuration and logs.
        namespace: of the arm.
        arm: what is asked for.
        picker: whom it is to ask.
        ports: as many as `PORTS`.
        targets: ports of the replicas.

    Raises:
        ClusterError: Envoy is not installed, or the machine has no address for Istio's.
        gpuassay.toolchain.ToolchainError: istiod cannot be had.
    """
    if arm.gateway is None:
        return None
    listener, admin, *control = ports
    on_istio = arm.gateway == ISTIO
    where = machine_address() if on_istio else ""
    plan = Plan(
        listener=listener, admin=admin, endpoints=folder / "envoy" / "endpoints.json",
        picker=picker.port if picker else 0,
        body_mode=picker.implementation.body_mode if picker else Plan.body_mode,
        design=arm.gateway if picker or on_istio else "no-picker", failure_mode=arm.failure_mode,
        node=Node(GATEWAY, namespace, where, control[1]) if on_istio else None,
    )  # fmt: skip
    if not on_istio:
        return Envoy(cluster, folder, namespace, plan, arm.change_gateway)
    istiod = Istiod(
        cluster, toolchain.programs("istio", cluster.assets), folder, namespace, Ports(*control), arm.istiod_env
    )
    setup = Setup(
        namespace, where, arm.pool, targets, picker.port if picker else None,
        insist=arm.probe, labels=arm.labels, edit=arm.change_objects,
    )  # fmt: skip
    return IstioGateway(cluster, folder, namespace, plan, istiod, setup, arm.change_gateway)
