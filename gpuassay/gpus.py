"""GPU models and their MIG profiles: the one table from which the oracle plans and the fake silicon answers.

Sources: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles" (names, counts, fractions, engines); listings
of `nvidia-smi mig -lgip` (profile ids, memory, multiprocessors) published for the H100 by users, for the H200 in
github.com/NVIDIA/mig-parted/issues/120 and for the B200 in github.com/NVIDIA/gpu-operator/pull/1351; the A100 tables
of the DAS source. Placements of the H200 and B200 follow the pattern of the A100 and H100, as the DAS tables do: they
were not read from such a GPU. Multiprocessors and memory of a B200's 3g and 7g and of an H200's 7g are estimates.

Example:
    gpu_model("A100-SXM4-40GB").profiles
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ComputeProfile:
    """A compute instance profile within a GPU instance: `index` is NVML's enumeration; starts in compute slices."""

    index: int
    slices: int
    starts: tuple[int, ...]


@dataclass(frozen=True)
class MigProfile:
    """A GPU instance profile.

    Attributes:
        name: as NVIDIA's tools write it, `1g.5gb+me` with its attribute.
        index: NVML's enumeration of profiles (`NVML_GPU_INSTANCE_PROFILE_*`).
        profile_id: what NVML and nvidia-smi call it on this GPU.
        compute_slices: the `g` of its name.
        size: memory slices that it takes.
        starts: memory slices at which it may start, in the order in which NVML lists them.
        most: how many of it a GPU may hold.
        first_instance: instance ids are given from here on.
        memory_mib: memory of one instance.
        multiprocessors: streaming multiprocessors; the other numbers are engines.
    """

    name: str
    index: int
    profile_id: int
    compute_slices: int
    size: int
    starts: tuple[int, ...]
    most: int
    first_instance: int
    memory_mib: int
    multiprocessors: int
    copy_engines: int
    decoders: int
    jpeg_engines: int = 0
    optical_flow_engines: int = 0

    @property
    def compute_profiles(self) -> tuple[ComputeProfile, ...]:
        """How it can be divided further; the last takes all of it."""
        whole = self.compute_slices
        starts = {1: range(whole), 2: range(0, whole - 1, 2), 3: (0, 4)[: 1 + (whole == 7)], 4: (0,), 7: (0,)}
        return tuple(
            ComputeProfile(index, slices, tuple(starts[slices]))
            for index, slices in enumerate((1, 2, 3, 4, 7))
            if slices == whole or (slices < whole and not (slices == 3 and whole == 4))
        )


@dataclass(frozen=True)
class GpuModel:
    """A GPU that can be partitioned. `architecture` is NVML's number, `pci_id` device and vendor id in one."""

    name: str
    product: str
    memory_mib: int
    memory_slices: int
    mig_devices: int
    architecture: int
    capability: tuple[int, int]
    pci_id: int
    profiles: tuple[MigProfile, ...]

    def profile(self, name: str) -> MigProfile:
        """The profile called `name`.

        Raises:
            ValueError: this GPU has none; the message lists those it has.
        """
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise ValueError(
            f"{self.product} has no MIG profile {name!r}; it has {', '.join(p.name for p in self.profiles)}"
        )


@dataclass(frozen=True)
class _Shape:
    """What is the same on all GPUs of eight memory slices: index, id, compute slices, size, starts, most, first id."""

    suffix: str
    index: int
    profile_id: int
    compute: int
    size: int
    starts: tuple[int, ...]
    most: int
    first: int


_SEVENTHS = (
    _Shape("", 0, 19, 1, 1, (0, 1, 2, 3, 4, 5, 6), 7, 7),
    _Shape("+me", 7, 20, 1, 1, (0, 1, 2, 3, 4, 5, 6), 1, 7),
    _Shape("", 9, 15, 1, 2, (0, 2, 4, 6), 4, 7),
    _Shape("", 1, 14, 2, 2, (0, 2, 4), 3, 3),
    _Shape("", 2, 9, 3, 4, (0, 4), 2, 1),
    _Shape("", 3, 5, 4, 4, (0,), 1, 1),
    _Shape("", 4, 0, 7, 8, (0,), 1, 0),
)

_Part = tuple[str, int, int, int, int, int, int]
"""Of one profile: gigabytes in its name, MiB, multiprocessors, copy engines, decoders, JPEG, optical flow."""


def _sevenths(*parts: _Part) -> tuple[MigProfile, ...]:
    made: list[MigProfile] = []
    for s, (gigabytes, *rest) in zip(_SEVENTHS, parts, strict=True):
        name = f"{s.compute}g.{gigabytes}gb{s.suffix}"
        made.append(MigProfile(name, s.index, s.profile_id, s.compute, s.size, s.starts, s.most, s.first, *rest))
    return tuple(made)


_A100_40 = _sevenths(
    ("5", 4864, 14, 1, 0, 0, 0),
    ("5", 4864, 14, 1, 1, 1, 1),
    ("10", 9856, 14, 1, 1, 0, 0),
    ("10", 9856, 28, 2, 1, 0, 0),
    ("20", 19968, 42, 3, 2, 0, 0),
    ("20", 19968, 56, 4, 2, 0, 0),
    ("40", 40192, 98, 7, 5, 1, 1),
)
_A100_80 = _sevenths(
    ("10", 9728, 14, 1, 0, 0, 0),
    ("10", 9728, 14, 1, 1, 1, 1),
    ("20", 19968, 14, 1, 1, 0, 0),
    ("20", 19968, 28, 2, 1, 0, 0),
    ("40", 40192, 42, 3, 2, 0, 0),
    ("40", 40192, 56, 4, 2, 0, 0),
    ("80", 80384, 98, 7, 5, 1, 1),
)
_H100_80 = _sevenths(
    ("10", 9984, 16, 1, 1, 1, 0),
    ("10", 9984, 16, 1, 1, 1, 1),
    ("20", 20096, 26, 1, 1, 1, 0),
    ("20", 20096, 32, 2, 2, 2, 0),
    ("40", 40448, 60, 3, 3, 3, 0),
    ("40", 40448, 64, 4, 4, 4, 0),
    ("80", 81152, 132, 8, 7, 7, 1),
)
_H200_141 = _sevenths(
    ("18", 16384, 16, 1, 1, 1, 0),
    ("18", 16384, 16, 1, 1, 1, 1),
    ("35", 33024, 26, 1, 1, 1, 0),
    ("35", 33024, 32, 2, 2, 2, 0),
    ("71", 71168, 60, 3, 3, 3, 0),
    ("71", 71168, 64, 4, 4, 4, 0),
    ("141", 143360, 132, 8, 7, 7, 1),
)
_B200_180 = _sevenths(
    ("23", 20992, 18, 2, 1, 1, 0),
    ("23", 20992, 18, 2, 1, 1, 1),
    ("45", 45312, 30, 2, 1, 1, 0),
    ("45", 45312, 36, 4, 2, 2, 0),
    ("90", 91136, 70, 6, 3, 3, 0),
    ("90", 91136, 72, 8, 4, 4, 0),
    ("180", 182784, 148, 16, 7, 7, 1),
)
_A30 = (
    MigProfile("1g.6gb", 0, 14, 1, 1, (0, 1, 2, 3), 4, 3, 5836, 14, 1, 0),
    MigProfile("1g.6gb+me", 7, 21, 1, 1, (0, 1, 2, 3), 1, 3, 5836, 14, 1, 1, 1, 1),
    MigProfile("2g.12gb", 1, 5, 2, 2, (0, 2), 2, 1, 11672, 28, 2, 2),
    MigProfile("2g.12gb+me", 8, 6, 2, 2, (0, 2), 1, 1, 11672, 28, 2, 2, 1, 1),
    MigProfile("4g.24gb", 3, 0, 4, 4, (0,), 1, 0, 23344, 56, 4, 4, 1, 1),
)

_AMPERE, _HOPPER, _BLACKWELL = 7, 9, 10

MODELS: dict[str, GpuModel] = {
    model.name: model
    for model in (
        GpuModel("a100-40gb", "NVIDIA A100-SXM4-40GB", 40536, 8, 7, _AMPERE, (8, 0), 0x20B010DE, _A100_40),
        GpuModel("a100-80gb", "NVIDIA A100-SXM4-80GB", 81920, 8, 7, _AMPERE, (8, 0), 0x20B210DE, _A100_80),
        GpuModel("h100-80gb", "NVIDIA H100 80GB HBM3", 81559, 8, 7, _HOPPER, (9, 0), 0x233010DE, _H100_80),
        GpuModel("h200-141gb", "NVIDIA H200", 143771, 8, 7, _HOPPER, (9, 0), 0x233510DE, _H200_141),
        GpuModel("b200-180gb", "NVIDIA B200", 183359, 8, 7, _BLACKWELL, (10, 0), 0x290110DE, _B200_180),
        GpuModel("a30-24gb", "NVIDIA A30", 24576, 4, 4, _AMPERE, (8, 0), 0x20B710DE, _A30),
    )
}
"""Every GPU model by name."""


def gpu_model(name: str) -> GpuModel:
    """The GPU model called `name`.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ValueError(f"no GPU model is called {name!r}; there are {', '.join(MODELS)}") from None
