"""A fake NVIDIA driver's files: what the NVIDIA programs look for beside the library, and what containers are given.

Device nodes are there so that a container can be given them; they are all /dev/null. The library is the fake one.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from gpuassay import silicon
from gpuassay.cluster.base import Emulated
from gpuassay.cluster.errors import ClusterError
from gpuassay.silicon import Silicon, minors
from gpuassay.silicon.build import LIBRARY
from gpuassay.silicon.state import DRIVER_VERSION

EMULATED: Emulated = {
    "what": "GPUs and their driver",
    "by": "gpuassay.silicon, a libnvidia-ml.so.1 of our own with the hardware's rules for MIG",
    "means": "slices are made, refused, used and destroyed as on hardware; nothing is executed on them, device nodes "
    "are /dev/null, and run times are modelled",
}

PROC_DRIVER = "/proc/driver"
"""Where the node must have `FakeDriver.proc`: `real_node(..., binds={driver.proc: PROC_DRIVER})`."""

_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
_NULL_DEVICE = os.makedev(1, 3)
_CHARACTER_DEVICES = """\
Character devices:
  1 mem
195 nvidia
195 nvidiactl
236 nvidia-uvm
237 nvidia-caps

Block devices:
"""


@dataclass(frozen=True)
class FakeDriver:
    """The files of one node's fake driver.

    Attributes:
        silicon: its GPUs.
        root: what programs take for the driver's root directory.
        proc: to be mounted at /proc/driver of the node.
        trace: what the NVIDIA programs asked the library (`PID FUNCTION CODE` lines).
    """

    silicon: Silicon
    root: Path
    proc: Path
    trace: Path

    @property
    def library(self) -> Path:
        """The fake library."""
        return self.root / _LIBRARIES / LIBRARY

    @property
    def hook(self) -> Path:
        """A CDI hook that does nothing, successfully."""
        return self.root / "usr/bin/nvidia-cdi-hook"

    @property
    def character_devices(self) -> Path:
        """A text like /proc/devices, for programs that can be told where it is."""
        return self.root / "proc-devices"

    def environment(self) -> dict[str, str]:
        """What a program needs to find the fake GPUs."""
        return {
            silicon.ENVIRONMENT: str(self.silicon.path),
            silicon.TRACE_ENVIRONMENT: str(self.trace),
            "LD_LIBRARY_PATH": str(self.library.parent),
        }


def fake_driver(folder: Path, gpus: Silicon) -> FakeDriver:
    """Write the files of a fake driver into `folder`, in place of older ones.

    Raises:
        ClusterError: they cannot be written; making device nodes needs root (CAP_MKNOD).
        gpuassay.toolchain.errors.ToolchainError: the library cannot be built.
    """
    driver = FakeDriver(gpus, folder / "root", folder / "proc-driver", folder / "nvml-trace.txt")
    library = silicon.library()
    try:
        shutil.rmtree(driver.root, ignore_errors=True)
        shutil.rmtree(driver.proc, ignore_errors=True)
        _libraries(driver, library)
        _devices(driver.root / "dev", len(gpus.gpus))
        _programs(driver)
        _capabilities(driver.proc, len(gpus.gpus))
    except PermissionError as error:
        raise ClusterError(
            f"the fake driver's files need root (CAP_MKNOD): {error.strerror}: {error.filename}"
        ) from None
    except OSError as error:
        raise ClusterError(f"the fake driver's files cannot be written: {error.strerror}: {error.filename}") from None
    return driver


def _libraries(driver: FakeDriver, library: Path) -> None:
    place = driver.root / _LIBRARIES
    place.mkdir(parents=True)
    for name in ("libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"):
        # The NVIDIA programs look for libraries by name and version; only NVML's functions are ever called.
        shutil.copy(library, place / f"{name}.so.{DRIVER_VERSION}")
        (place / f"{name}.so.1").symlink_to(f"{name}.so.{DRIVER_VERSION}")
        (place / f"{name}.so").symlink_to(f"{name}.so.1")


def _devices(folder: Path, gpus: int) -> None:
    names = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", *(f"nvidia{gpu}" for gpu in range(gpus))]
    names += [f"nvidia-caps/nvidia-cap{minor}" for _, minor in minors.capabilities(gpus)]
    (folder / "nvidia-caps").mkdir(parents=True)
    for name in names:
        os.mknod(folder / name, stat.S_IFCHR | 0o666, _NULL_DEVICE)


def _programs(driver: FakeDriver) -> None:
    driver.hook.parent.mkdir(parents=True)
    listing = silicon.listing()
    for at in (driver.hook, driver.hook.with_name("nvidia-smi")):
        at.write_text("#!/bin/sh\nexit 0\n")
        at.chmod(0o755)
    if listing is not None:
        shutil.copy(listing, driver.hook.with_name("nvidia-smi"))
    driver.character_devices.write_text(_CHARACTER_DEVICES)


def _capabilities(proc: Path, gpus: int) -> None:
    lines: list[str] = []
    for name, minor in minors.capabilities(gpus):
        lines.append(f"{name} {minor}\n")
        if name.startswith("gpu"):
            gpu, rest = name.split("/", 1)
            at = proc / "nvidia/capabilities" / gpu / "mig" / rest
        else:
            at = proc / "nvidia/capabilities/mig" / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
    (proc / "nvidia-caps").mkdir()
    (proc / "nvidia-caps/mig-minors").write_text("".join(lines))
