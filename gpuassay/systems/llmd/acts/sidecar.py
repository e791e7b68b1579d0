"""llm-d's P/D sidecar before a replica that decodes: as a process beside its process, or in its pod."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.capabilities import PROGRAM
from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import Child
from gpuassay.systems.llmd.component.images import SIDECAR
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.toolchain import catalogue

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.systems.llmd.acts.deployment import Deployment
    from gpuassay.systems.llmd.acts.lab import RoutingLab

COMPONENT = "pd-sidecar"
INNER = 9400
"""Port of the model server itself in a pod, which has all ports to itself."""
AT = "/sidecar"
"""Where the sidecar's image is found in a pod."""


@contextmanager
def sidecar_before(lab: RoutingLab, site: Deployment, decode: Replica) -> Generator[None]:
    """Put the sidecar at a replica's port for the length of a `with` block; the replica moves, and ends with it.

    Raises:
        NotFromOutside: the cluster has no image volumes.
    """
    if site.routing.at_hand:
        with _process(lab, site, decode):
            yield
        return
    _in_the_pod(decode)
    yield  # it goes with the pod


def _flags(decode: Replica, inner: int) -> list[str]:
    return ["--port", str(decode.port), "--vllm-port", str(inner), "--secure-proxy=false", "--kv-connector", "nixlv2"]


def moved(decode: Replica, inner: int) -> list[str]:
    """Arguments of a replica that listens at `inner`."""
    command = [str(one) for one in decode.child.command]
    command[command.index("--port") + 1] = str(inner)
    return command


@contextmanager
def _process(lab: RoutingLab, site: Deployment, decode: Replica) -> Generator[None]:
    inner = free_ports(1)[0]
    decode.child.kill()
    decode.child.command = list(moved(decode, inner))
    program = toolchain.programs(COMPONENT, lab.cluster.assets).path(COMPONENT)
    beside = Child(
        lab.cluster, f"{site.routing.namespace}-sidecar", site.routing.folder / "logs" / "sidecar.log",
        [program, *_flags(decode, inner)],
    )  # fmt: skip
    decode.child.launch()
    beside.launch()
    try:
        beside.await_ready(decode.healthy, what="sidecar and decode replica to be healthy")
        yield
    finally:
        beside.stop(2)
        decode.child.kill()  # nobody reaches it without the sidecar


def _in_the_pod(decode: Replica) -> None:
    from gpuassay.systems.llmd.pods import names
    from gpuassay.systems.llmd.pods.hands import FIRST_MINOR, HandChild

    child = decode.child
    if not isinstance(child, HandChild):
        raise NotFromOutside(f"a sidecar in a model server's pod takes image volumes (Kubernetes 1.{FIRST_MINOR})")
    image = names.pulled(f"{SIDECAR.repository}:{catalogue.component(COMPONENT).version}")
    images = {**child.program.images, image: AT}
    child.command = list(moved(decode, INNER))
    child.beside = [f"{AT}{SIDECAR.program}", *_flags(decode, INNER)]
    child.renew(replace(child.program, images=images, lacking=f"{PROGRAM}{COMPONENT}"))
    decode.launch()
    decode.await_ready()
