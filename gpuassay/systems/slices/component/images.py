"""NVIDIA's device plugin and GPU Feature Discovery as an image, under the name that their chart asks for."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay import silicon, toolchain
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.cluster.whole.images import Source
from gpuassay.systems.slices.component.gpu_kit import LIBRARIES, STATE
from gpuassay.toolchain import Assets

DEVICE_PLUGIN = "nvidia-device-plugin"
NAME = "nvcr.io/nvidia/k8s-device-plugin"

ENVIRONMENT = (f"{silicon.ENVIRONMENT}={STATE}", f"LD_LIBRARY_PATH={LIBRARIES}")
"""On hardware NVIDIA's runtime puts the driver's library into containers; here every container sees it below /proc."""


def images(assets: Assets) -> Iterator[Source]:
    """Those whose programs are there."""
    if toolchain.available(DEVICE_PLUGIN, assets) is None:
        programs = toolchain.programs(DEVICE_PLUGIN, assets)
        files = {f"/usr/bin/{name}": at for name, at in programs.files.items()}
        libraries = {str(one): one for at in programs.files.values() for one in shared_libraries(at)}
        entry = (f"/usr/bin/{DEVICE_PLUGIN}",)
        yield Source((f"{NAME}:{programs.version}",), files | libraries, entry, env=ENVIRONMENT)
