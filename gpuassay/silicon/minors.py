"""Device numbers of MIG capabilities, by which a container's slices are known (`/dev/nvidia-caps/nvidia-cap<minor>`).

The driver numbers them in one sequence: two for configuration and monitoring, then of each GPU each possible GPU
instance, followed by its possible compute instances (`/proc/driver/nvidia-caps/mig-minors`).
"""

from __future__ import annotations

from collections.abc import Iterator

GPU_INSTANCE_IDS, COMPUTE_INSTANCE_IDS = 15, 8
_FIRST, _PER_INSTANCE = 3, 1 + COMPUTE_INSTANCE_IDS
_PER_GPU = GPU_INSTANCE_IDS * _PER_INSTANCE


def gpu_instance_minor(gpu: int, gpu_instance: int) -> int:
    """Minor number of the access to a GPU instance; `gpu` is the GPU's own minor number."""
    return _FIRST + gpu * _PER_GPU + gpu_instance * _PER_INSTANCE


def compute_instance_minor(gpu: int, gpu_instance: int, compute_instance: int = 0) -> int:
    """Minor number of the access to a compute instance."""
    return gpu_instance_minor(gpu, gpu_instance) + 1 + compute_instance


def instance_of(minor: int) -> tuple[int, int, int | None] | None:
    """(GPU, GPU instance, compute instance or None) of a minor number; None for the two that name no instance."""
    gpu, rest = divmod(minor - _FIRST, _PER_GPU)
    if gpu < 0:
        return None
    instance, compute = divmod(rest, _PER_INSTANCE)
    return gpu, instance, compute - 1 if compute else None


def capabilities(gpus: int) -> Iterator[tuple[str, int]]:
    """Path of each capability and its minor number, as `mig-minors` lists them."""
    yield "config", 1
    yield "monitor", 2
    for gpu in range(gpus):
        for instance in range(GPU_INSTANCE_IDS):
            yield f"gpu{gpu}/gi{instance}/access", gpu_instance_minor(gpu, instance)
            for compute in range(COMPUTE_INSTANCE_IDS):
                yield f"gpu{gpu}/gi{instance}/ci{compute}/access", compute_instance_minor(gpu, instance, compute)
