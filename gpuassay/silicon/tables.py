"""Writes GPU models (`gpuassay.gpus`) into a state; the library has no other source of them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from gpuassay.gpus import GpuModel, MigProfile
from gpuassay.silicon import layout

_BRAND_NVIDIA = 14
_SAME = (
    "index", "size", "first_instance", "multiprocessors", "copy_engines", "decoders", "jpeg_engines",
    "optical_flow_engines", "memory_mib",
)  # fmt: skip


def fill(state: layout.State, models: Sequence[GpuModel]) -> None:
    """Write `models` (at most four) and their checksum into `state`."""
    state.models_count = len(models)
    for place, model in zip(state.models, models, strict=False):
        place.name, place.product = model.name.encode(), model.product.encode()
        place.memory_slices, place.mig_devices = model.memory_slices, model.mig_devices
        place.architecture, place.brand, place.pci_id = model.architecture, _BRAND_NVIDIA, model.pci_id
        place.capability_major, place.capability_minor = model.capability
        place.memory_mib, place.profiles_count = model.memory_mib, len(model.profiles)
        for to, profile in zip(place.profiles, model.profiles, strict=False):
            _profile(to, profile)
    state.models_checksum = models_checksum(state)


def models_checksum(state: layout.State) -> int:
    """The checksum of the tables as they stand in `state`."""
    return layout.checksum(ctypes.string_at(ctypes.addressof(state.models), ctypes.sizeof(state.models)))


def _profile(to: layout.ProfileState, profile: MigProfile) -> None:
    for name in _SAME:
        setattr(to, name, getattr(profile, name))
    to.name, to.id, to.slices = profile.name.encode(), profile.profile_id, profile.compute_slices
    to.limit, to.starts_count = profile.most, len(profile.starts)
    to.starts[: len(profile.starts)] = profile.starts
    to.compute_count = len(profile.compute_profiles)
    for place, compute in zip(to.compute, profile.compute_profiles, strict=False):
        place.index = place.id = compute.index
        place.slices, place.starts_count = compute.slices, len(compute.starts)
        place.starts[: len(compute.starts)] = compute.starts
