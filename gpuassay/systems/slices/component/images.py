"""NVIDIA's programs of GPU nodes as images, under the names that their charts ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpuassay import silicon, toolchain
from gpuassay.cluster.images import Source
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.systems.slices.component import dra
from gpuassay.systems.slices.component.gpu_kit import LIBRARIES, STATE
from gpuassay.toolchain import Assets, native
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.toolchain.progress import silent

DEVICE_PLUGIN = "nvidia-device-plugin"
NAME = "nvcr.io/nvidia/k8s-device-plugin"
DRA_NAME = "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu"
DRA_MODULE = "sigs.k8s.io/dra-driver-nvidia-gpu"
PRESTART = "kubelet-plugin-prestart.sh"
"""Looks for a driver on the node before the DRA driver is started; needs bash and `COMMANDS`."""
COMMANDS = ("sh", "basename", "cp", "date", "env", "find", "head", "ln", "ls", "mount", "sed", "sleep")
HOOK = "#!/bin/sh\nexit 0\n"
"""In place of nvidia-cdi-hook, which changes containers' libraries: there is no driver whose libraries these were."""

ENVIRONMENT = (f"{silicon.ENVIRONMENT}={STATE}", f"LD_LIBRARY_PATH={LIBRARIES}")
"""On hardware NVIDIA's runtime puts the driver's library into containers; here every container sees it below /proc."""


def images(assets: Assets) -> Iterator[Source]:
    """Those whose programs are there."""
    if toolchain.available(DEVICE_PLUGIN, assets) is None:
        programs = toolchain.programs(DEVICE_PLUGIN, assets)
        entry = (f"/usr/bin/{DEVICE_PLUGIN}",)
        yield Source((f"{NAME}:{programs.version}",), _programs(programs.files), entry, env=ENVIRONMENT)
    if toolchain.available(dra.COMPONENT, assets) is None and (shell := _shell()):
        programs = toolchain.programs(dra.COMPONENT, assets)
        script = toolchain.module_dir(dra.COMPONENT, DRA_MODULE, assets) / "hack" / PRESTART
        files = {f"/usr/bin/{PRESTART}": script, "/usr/bin/nvidia-cdi-hook": HOOK, **shell, **_programs(programs.files)}
        # upstream's own switch for a mock NVML: the host's /proc/devices knows no GPU
        env = (*ENVIRONMENT, "ALT_PROC_DEVICES_PATH=/driver-root/proc-devices")
        yield Source((f"{DRA_NAME}:{programs.version}",), files, ("/bin/bash",), env=env)


def _programs(found: Mapping[str, Path]) -> dict[str, Path]:
    """Programs below /usr/bin, and the libraries that they are linked with."""
    libraries = {str(one): one for at in found.values() for one in shared_libraries(at)}
    return {f"/usr/bin/{name}": at for name, at in found.items()} | libraries


def _shell() -> dict[str, Path | str]:
    """The shell bash and the commands of scripts; nothing where this machine cannot give them."""
    bash = shutil.which("bash")
    try:
        busybox = native.tool("busybox", silent).path
    except UnobtainableError:
        return {}
    if bash is None:
        return {}
    links = {f"/bin/{name}": "-> /bin/busybox" for name in COMMANDS}
    libraries = {str(one): one for one in shared_libraries(Path(bash))}
    return {"/bin/bash": Path(bash), "/bin/busybox": busybox, **links, **libraries}
