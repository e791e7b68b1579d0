"""What fits on MIG GPUs: geometry against credits.

Quota in credits (compute slices, memory) counts; a GPU places. A MIG profile may only start at certain memory slices,
so that a mix can be within the credits of all GPUs and yet fit on none of them (NVIDIA MIG user guide, "A100-SXM4-40GB
MIG profiles": placements).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from gpuassay.gpus import gpu_model

_PLAIN = [profile for profile in gpu_model("a100-40gb").profiles if profile.index < 5]

PLACEMENTS: dict[str, tuple[int, tuple[int, ...]]] = {one.name: (one.size, one.starts) for one in _PLAIN}
"""Of each profile of an A100 with 40 GB: how many of the eight memory slices it takes, and where it may start."""

COMPUTE: dict[str, int] = {one.name: one.compute_slices for one in _PLAIN}
"""Compute slices of each profile; a GPU has seven."""

SLICES = 7


def most_placeable(profiles: Sequence[str], gpus: int) -> int:
    """How many of `profiles` can stand at the same time on `gpus` A100 40 GB, in the best of all placements.

    Raises:
        ValueError: a profile that this GPU does not have.
    """
    unknown = sorted(set(profiles) - set(PLACEMENTS))
    if unknown:
        raise ValueError(f"no MIG profile of an A100 40 GB: {', '.join(unknown)}")
    left = tuple(sorted(profiles, key=lambda one: -PLACEMENTS[one][0]))

    @cache
    def best(left: tuple[str, ...], state: tuple[tuple[int, int], ...]) -> int:
        if not left:
            return 0
        profile, rest = left[0], left[1:]
        width, starts = PLACEMENTS[profile]
        most = 0
        for index, (taken, compute) in enumerate(state):
            if compute + COMPUTE[profile] > SLICES or state[index] in state[:index]:  # equal GPUs are interchangeable
                continue
            for start in starts:
                mask = ((1 << width) - 1) << start
                if not taken & mask:
                    after = [*state[:index], (taken | mask, compute + COMPUTE[profile]), *state[index + 1 :]]
                    most = max(most, 1 + best(rest, tuple(sorted(after))))
                    if most == len(left):
                        return most
        return max(most, best(rest, state))  # or leave it out

    return best(left, ((0, 0),) * gpus)
