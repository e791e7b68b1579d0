"""What the pipeline has to take: files on slices by the rules of a queue, with the time of each step on top. Pure."""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping, Sequence

from gpuassay.systems.platform.pipeline.notes import AudioFile
from gpuassay.workloads.run_times import runtimes

FACTORS = (1_000, 999_999)
"""Of the product that a container computes; below 2^53, so that any shell can."""


def audio_files(seed: int, scale: float, each: int, profiles: tuple[str, str]) -> tuple[list[AudioFile], list[str]]:
    """Files of medium and large models in turn, with run times of the paper's kind (s), and what each computes.

    Args:
        seed: of run times; what is computed is new in every run.
        scale: by what the paper's run times are multiplied.
        each: files of each kind.
        profiles: slices of medium and of large ones.

    Returns:
        The files, and of each the product as a container is asked for it (`A*B`).
    """
    medium, large = runtimes(seed, scale, each)
    source = random.SystemRandom()
    files: list[AudioFile] = []
    products: list[str] = []
    for number in range(each):
        for kind, profile, runs in zip(("medium", "large"), profiles, (medium, large), strict=True):
            left, right = source.randint(*FACTORS), source.randint(*FACTORS)
            files.append(AudioFile(f"{kind}-{number}", profile, runs[number], left * right))
            products.append(f"{left}*{right}")
    return files, products


def ends(files: Sequence[AudioFile], slots: Mapping[str, int], handover: float) -> dict[str, float]:
    """When each file's transcription ends at the latest, in s from when all were handed in.

    Every kind of slice has a queue of its own, first come first served; a slice that was used is free `handover`
    seconds after the container on it has ended, and the first start takes as long.
    """
    free = {profile: [handover] * count for profile, count in slots.items()}
    found: dict[str, float] = {}
    for one in files:
        start = heapq.heappop(free[one.profile])
        found[one.name] = start + one.run
        heapq.heappush(free[one.profile], start + one.run + handover)
    return found
