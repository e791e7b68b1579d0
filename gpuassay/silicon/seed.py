"""Makes the slices of a geometry, through the fake library itself: ids, UUIDs and rules are the library's.

`python -m gpuassay.silicon.seed` is the process in which that happens: a process can look at one state at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuassay.environment import inherited
from gpuassay.silicon import build
from gpuassay.silicon.client import Nvml
from gpuassay.silicon.errors import NvmlError, SiliconError
from gpuassay.silicon.state import ENVIRONMENT, Silicon, Slice

Geometry = Mapping[int, Sequence[str | tuple[str, int]]]
"""GPU index to its slices in the order of their making: a profile, or a profile and its first memory slice."""


def seed(silicon: Silicon, geometry: Geometry, library: Path | None = None) -> list[Slice]:
    """Make the slices of `geometry`; all slices that there are then.

    Raises:
        ValueError: a GPU has no such profile.
        SiliconError: the geometry does not fit.
    """
    models = silicon.models
    orders: list[tuple[int, int, int, int, int]] = []
    for gpu, wanted in geometry.items():
        if not 0 <= gpu < len(models):
            raise SiliconError(f"there is no GPU {gpu}: they are 0 to {len(models) - 1}")
        for one in wanted:
            name, start = (one, -1) if isinstance(one, str) else one
            profile = models[gpu].profile(name)
            orders.append((gpu, profile.profile_id, start, profile.size, profile.compute_profiles[-1].index))
    command = [sys.executable, "-m", "gpuassay.silicon.seed", str(library or build.library()), json.dumps(orders)]
    root = str(Path(__file__).parents[2])
    environment = inherited() | {ENVIRONMENT: str(silicon.path), "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise SiliconError(f"the geometry cannot be made: {lines[-1] if lines else f'code {done.returncode}'}")
    return silicon.slices()


def _make(library: Path, orders: Sequence[tuple[int, int, int, int, int]]) -> None:
    nvml = Nvml(library)
    for gpu, profile_id, start, size, compute in orders:
        device = nvml.gpu(gpu)
        try:
            if start < 0:
                instance = nvml.create_gpu_instance_anywhere(device, profile_id)
            else:
                instance = nvml.create_gpu_instance(device, profile_id, start, size)
            nvml.create_compute_instance(instance, compute)
        except NvmlError as error:
            where = "anywhere" if start < 0 else f"at {start}"
            raise SystemExit(f"profile {profile_id} on GPU {gpu} {where}: {error}") from None
    nvml.close()


if __name__ == "__main__":
    _make(Path(sys.argv[1]), json.loads(sys.argv[2]))
