"""The state file's structures, as `c/state.h` has them; a test compares the sizes with the library's own."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_int32, c_uint32, c_uint64

MAGIC = b"gpuassay-silicon"
VERSION = 1
MODELS, PROFILES, STARTS, COMPUTE_PROFILES, GPUS, INSTANCES, COMPUTE_INSTANCES = 4, 12, 8, 6, 16, 8, 8
FAULTS, EVENTS = 16, 8192

EVENT_KINDS = {
    1: "gpu-instance-created",
    2: "gpu-instance-destroyed",
    3: "compute-instance-created",
    4: "compute-instance-destroyed",
    5: "mig-mode-set",
    6: "xid",
    7: "refused",
    8: "written-by-test",
}
"""What an event may be, by its number in the file."""

NOTHING = 0xFFFFFFFF
"""An instance id of an event that concerns none."""


class ComputeProfileState(ctypes.Structure):
    """`struct compute_profile`."""

    _fields_ = [(name, c_uint32) for name in ("index", "id", "slices", "starts_count")] + [
        ("starts", c_uint32 * STARTS)
    ]


class ProfileState(ctypes.Structure):
    """`struct profile`."""

    _fields_ = [
        ("name", c_char * 32),
        *((name, c_uint32) for name in ("index", "id", "slices", "size", "limit", "first_instance", "starts_count")),
        ("starts", c_uint32 * STARTS),
        *((name, c_uint32) for name in ("multiprocessors", "copy_engines", "decoders", "encoders", "jpeg_engines")),
        *((name, c_uint32) for name in ("optical_flow_engines", "compute_count")),
        ("memory_mib", c_uint64),
        ("compute", ComputeProfileState * COMPUTE_PROFILES),
    ]


class ModelState(ctypes.Structure):
    """`struct model`."""

    _fields_ = [
        ("name", c_char * 32),
        ("product", c_char * 64),
        *((name, c_uint32) for name in ("memory_slices", "mig_devices", "profiles_count", "architecture", "brand")),
        *((name, c_uint32) for name in ("capability_major", "capability_minor", "pci_id")),
        ("memory_mib", c_uint64),
        ("profiles", ProfileState * PROFILES),
    ]


_INSTANCE = [(name, c_uint32) for name in ("used", "id", "profile", "start", "size", "busy")]


class ComputeInstanceState(ctypes.Structure):
    """`struct compute_instance`."""

    _fields_ = [*_INSTANCE, ("serial", c_uint64), ("uuid", c_char * 48)]


class GpuInstanceState(ctypes.Structure):
    """`struct gpu_instance`."""

    _fields_ = [*_INSTANCE, ("serial", c_uint64), ("compute", ComputeInstanceState * COMPUTE_INSTANCES)]


class GpuState(ctypes.Structure):
    """`struct gpu`."""

    _fields_ = [
        ("uuid", c_char * 48),
        *((name, c_uint32) for name in ("model", "mig_mode", "lost", "minor", "bus", "padding")),
        ("instances", GpuInstanceState * INSTANCES),
    ]


class FaultState(ctypes.Structure):
    """`struct fault`."""

    _fields_ = [
        ("function", c_char * 64),
        *((name, c_int32) for name in ("gpu", "code")),
        *((name, c_uint32) for name in ("skip", "count", "delay_ms", "hits")),
    ]


class EventState(ctypes.Structure):
    """`struct event`."""

    _fields_ = [
        *((name, c_uint64) for name in ("time_ns", "serial")),
        *((name, c_uint32) for name in ("kind", "gpu", "gpu_instance", "compute_instance", "start", "size")),
        *((name, c_uint32) for name in ("code", "process")),
        ("name", c_char * 64),
        ("uuid", c_char * 48),
    ]


class State(ctypes.Structure):
    """`struct state`: the whole file."""

    _fields_ = [
        ("magic", c_char * 16),
        *(
            (name, c_uint32)
            for name in ("version", "size", "gpus_count", "models_count", "unique_uuids", "cuda_version")
        ),
        *((name, c_uint64) for name in ("models_checksum", "serial", "events_count", "pending")),
        ("driver", c_char * 32),
        ("nvml", c_char * 32),
        ("faults", FaultState * FAULTS),
        ("models", ModelState * MODELS),
        ("gpus", GpuState * GPUS),
        ("events", EventState * EVENTS),
    ]


SIZES = tuple(
    map(
        ctypes.sizeof,
        (State, FaultState, ModelState, ProfileState, GpuState, GpuInstanceState, ComputeInstanceState, EventState),
    )
)
"""Bytes of each structure, in the order of the library's `gpuassay_layout`."""


def checksum(data: bytes) -> int:
    """FNV-1a, 64 bits (draft-eastlake-fnv): guards the tables against accidents."""
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value
