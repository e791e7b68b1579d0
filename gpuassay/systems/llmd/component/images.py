"""Endpoint picker, model-server simulator and Envoy as images, under the names that upstream's charts ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from gpuassay import toolchain
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.cluster.own_image import own_image
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.toolchain import Assets

USER = f"{NONROOT}:{NONROOT}"
CHART_PICKER = "registry.k8s.io/gateway-api-inference-extension/epp:v1.4.0"
"""What the charts of Gateway API Inference Extension ask for; llm-d's picker, which is built on it, stands in."""
CHART_ENVOY = "docker.io/envoyproxy/envoy:distroless-v1.33.2"
ENVOY = "docker.io/envoyproxy/envoy:distroless-"
"""A version follows."""
PICKER, SIMULATOR = "ghcr.io/llm-d/llm-d-inference-scheduler", "ghcr.io/llm-d/llm-d-inference-sim"


def images(assets: Assets) -> Iterator[Source]:
    """Those whose programs are there."""
    if toolchain.available("llmd-epp", assets) is None:
        picker = toolchain.programs("llmd-epp", assets)
        names = (f"{PICKER}:{picker.version}", CHART_PICKER)
        yield Source(names, {"/app/epp": picker.path("epp")}, ("/app/epp",), user=USER)
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
