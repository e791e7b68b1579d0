"""A client of the fake library in a process of its own: `python -m tests.silicon.worker LIBRARY SEED CALLS`.

It makes and destroys slices at random until CALLS calls are done (0: for ever), and writes a dot when it has begun.
"""

import random
import sys
from pathlib import Path

from gpuassay.silicon import NvmlError
from gpuassay.silicon.client import Nvml


def work(nvml: Nvml, source: random.Random) -> None:
    """One call, whatever it answers."""
    gpu = nvml.gpu(source.randrange(nvml.gpu_count()))
    try:
        if source.random() < 0.5:
            profile, compute = source.choice([(19, 0), (14, 1), (9, 2), (5, 3)])
            nvml.create_compute_instance(nvml.create_gpu_instance_anywhere(gpu, profile), compute)
        else:
            instance = nvml.gpu_instance(gpu, source.randrange(1, 14))
            nvml.destroy_compute_instance(nvml.compute_instance(instance, 0))
            nvml.destroy_gpu_instance(instance)
    except NvmlError:
        pass


if __name__ == "__main__":
    client, chance, calls = Nvml(Path(sys.argv[1])), random.Random(int(sys.argv[2])), int(sys.argv[3])
    print(".", flush=True)
    done = 0
    while not calls or done < calls:
        work(client, chance)
        done += 1
