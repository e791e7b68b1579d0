"""Fake GPUs: a `libnvidia-ml.so.1` of our own that keeps the hardware's rules for MIG, and the file behind it.

Fake, and named so in every report: no memory, no execution, no counters. What is true to hardware are the profiles,
where they may stand, how many there may be, what is in use, and that slices outlive the programs that made them.

Example:
    from gpuassay.silicon import Silicon
"""

from gpuassay.silicon.build import available, library, listing
from gpuassay.silicon.errors import NvmlError, SiliconError
from gpuassay.silicon.seed import Geometry, seed
from gpuassay.silicon.state import ENVIRONMENT, FOREVER, TRACE_ENVIRONMENT, Event, Silicon, Slice

__all__ = [
    "ENVIRONMENT",
    "FOREVER",
    "TRACE_ENVIRONMENT",
    "Event",
    "Geometry",
    "NvmlError",
    "Silicon",
    "SiliconError",
    "Slice",
    "available",
    "library",
    "listing",
    "seed",
]
