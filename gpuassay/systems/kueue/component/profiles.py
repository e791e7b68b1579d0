"""The configuration profiles as the component's callers get them: by name, refused in one line."""

from __future__ import annotations

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.kueue.objects.profiles import (
    BASE,
    CLAIMED_SLICES,
    FRAMEWORKS,
    GPC,
    GPU_MEMORY,
    MIG_CREDITS,
    MULTIPROCESSORS,
    NAMESPACE,
    PROFILES,
    Profile,
    merged,
)

__all__ = [
    "BASE",
    "CLAIMED_SLICES",
    "FRAMEWORKS",
    "GPC",
    "GPU_MEMORY",
    "MIG_CREDITS",
    "MULTIPROCESSORS",
    "NAMESPACE",
    "PROFILES",
    "Profile",
    "merged",
    "profile",
]


def profile(name: str) -> Profile:
    """The profile called `name`.

    Raises:
        ClusterError: there is none.
    """
    if name not in PROFILES:
        raise ClusterError(f"no Kueue profile is called {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
