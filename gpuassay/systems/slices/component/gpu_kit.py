"""What makes a node of a whole cluster a GPU node: fake GPUs, and a driver that every container sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from gpuassay.cluster.whole.cluster import Kit
from gpuassay.gpus import gpu_model
from gpuassay.silicon import Silicon, seed
from gpuassay.systems.slices.component.fake_driver import EMULATED, PROC_DRIVER, fake_driver
from gpuassay.systems.slices.model.cuts import cuts

DRIVER_ROOT = "/run/nvidia/driver"
"""Where the GPU Operator's driver containers have their root (`nvidiaDriverRoot` of charts)."""
STATE, LIBRARIES = f"{PROC_DRIVER}/gpuassay/state", f"{PROC_DRIVER}/gpuassay/lib"
"""The GPUs' state and the fake library as containers see them."""

PRESENT = {"nvidia.com/gpu.present": "true"}
"""Node Feature Discovery writes it where it finds a PCI device of NVIDIA's."""


def gpu_kit(folder: Path, models: Sequence[str], mig: Sequence[str] = ()) -> Kit:
    """Fake GPUs of one node.

    Args:
        folder: a new folder for their files; they go with it.
        models: one for each GPU, such as `a100-40gb` (`gpuassay.silicon`).
        mig: MIG slices that are there from the beginning, GPU by GPU (`gpuassay.systems.slices.model.cuts`); without
            any, MIG mode is off, as GPUs come.

    Raises:
        ValueError: an unknown model, or slices that do not fit.
        ClusterError: the driver's files cannot be written.
    """
    geometry = cuts(mig, [gpu_model(one) for one in models])
    folder.mkdir(parents=True)
    gpus = Silicon.create(folder / "state", tuple(models), mig=bool(mig), seed=folder.name)
    driver = fake_driver(folder, gpus)
    if geometry:
        seed(gpus, geometry)
    shown = driver.proc / "gpuassay"
    (shown / "lib").mkdir(parents=True)
    os.link(gpus.path, shown / "state")  # one file: what is mapped and locked must be the same for all
    shutil.copy(driver.library.resolve(), shown / "lib" / driver.library.name)
    binds = {driver.proc: PROC_DRIVER, driver.root: DRIVER_ROOT}
    return Kit(labels=PRESENT, binds=binds, shown={driver.proc: PROC_DRIVER}, emulated=(EMULATED,))
