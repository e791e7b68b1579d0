"""Endpoint picker, model-server simulator and Envoy as images, under the names that upstream's charts ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from gpuassay import toolchain
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.cluster.own_image import own_image
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.systems.llmd.component.picker import IMPLEMENTATIONS
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.toolchain import Assets

USER = f"{NONROOT}:{NONROOT}"
CHART_ENVOY = "docker.io/envoyproxy/envoy:distroless-v1.33.2"
ENVOY = "docker.io/envoyproxy/envoy:distroless-"
"""A version follows."""
PICKER, SIMULATOR = "ghcr.io/llm-d/llm-d-inference-scheduler", "ghcr.io/llm-d/llm-d-inference-sim"


@dataclass(frozen=True)
class Published:
    """An image, as upstream publishes it.

    Attributes:
        repository: its name without a tag; the tag is the version.
        program: what runs in it.
    """

    repository: str
    program: str


PICKERS = {
    "llm-d": Published(PICKER, "/app/epp"),
    "gaie": Published("registry.k8s.io/gateway-api-inference-extension/epp", "/epp"),
}
"""By name of the implementation; paths as in the Dockerfiles of the two repositories."""
SIDECAR = Published("ghcr.io/llm-d/llm-d-routing-sidecar", "/app/pd-sidecar")
"""llm-d's P/D sidecar."""


def images(assets: Assets) -> Iterator[Source]:
    """Those whose programs are there."""
    for name, published in PICKERS.items():
        chosen = IMPLEMENTATIONS[name]
        if toolchain.available(chosen.component, assets) is None:
            picker, at = toolchain.programs(chosen.component, assets), published.program
            names = (f"{published.repository}:{picker.version}",)
            yield Source(names, {at: picker.path(chosen.program)}, (at,), user=USER)
    if toolchain.available("pd-sidecar", assets) is None:
        sidecar, at = toolchain.programs("pd-sidecar", assets), SIDECAR.program
        yield Source((f"{SIDECAR.repository}:{sidecar.version}",), {at: sidecar.path("pd-sidecar")}, (at,), user=USER)
    if toolchain.available("llmd-sim", assets) is None:
        simulator = toolchain.programs("llmd-sim", assets)
        program = "/app/llm-d-inference-sim"
        names = (f"{SIMULATOR}:{simulator.version}", f"{SIMULATOR}:latest")
        yield Source(names, {program: simulator.path("llm-d-inference-sim")}, (program,), user=USER)
        with suppress(ClusterError):  # where this interpreter cannot be carried, a user brings an image
            yield own_image()
    try:
        binary, version = envoy.program()
        libraries = {str(one): one for one in shared_libraries(binary)}
    except ClusterError:
        return
    program = "/usr/local/bin/envoy"
    names = (f"{ENVOY}{version}", CHART_ENVOY)
    yield Source(names, {program: binary, **libraries}, (program,), user=USER)
