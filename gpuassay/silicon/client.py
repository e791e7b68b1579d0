"""A small NVML client by ctypes: what tests and the seeding of geometries ask of the fake library."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_uint, c_uint32, c_void_p, create_string_buffer
from pathlib import Path

from gpuassay.silicon.errors import NvmlError

_TEXT = 96


class Placement(ctypes.Structure):
    """Memory slices, or of a compute instance compute slices."""

    _fields_ = [("start", c_uint32), ("size", c_uint32)]


class Nvml:
    """One library in this process. All methods raise NvmlError with NVML's code where the library refuses."""

    def __init__(self, library: Path) -> None:
        """Load and initialise it; the state is the one that the environment names at this moment."""
        self._library = ctypes.CDLL(str(library))
        self.call("nvmlInit_v2")

    def close(self) -> None:
        """Give the library up; it can be initialised again with another state."""
        self.call("nvmlShutdown")

    def call(self, function: str, *arguments: object) -> None:
        """Call `function` as it is."""
        code = int(getattr(self._library, function)(*arguments))
        if code:
            raise NvmlError(function, code)

    def gpu(self, index: int) -> c_void_p:
        """Handle of a GPU."""
        return self._handle("nvmlDeviceGetHandleByIndex_v2", c_uint(index))

    def gpu_count(self) -> int:
        """Number of GPUs."""
        return self._number("nvmlDeviceGetCount_v2")

    def create_gpu_instance(self, gpu: c_void_p, profile_id: int, start: int, size: int) -> c_void_p:
        """Make a GPU instance at `start`."""
        return self._handle(
            "nvmlDeviceCreateGpuInstanceWithPlacement", gpu, c_uint(profile_id), byref(Placement(start, size))
        )

    def create_gpu_instance_anywhere(self, gpu: c_void_p, profile_id: int) -> c_void_p:
        """Make a GPU instance at the first place that is free."""
        return self._handle("nvmlDeviceCreateGpuInstance", gpu, c_uint(profile_id))

    def create_compute_instance(self, instance: c_void_p, profile_id: int) -> c_void_p:
        """Make a compute instance."""
        return self._handle("nvmlGpuInstanceCreateComputeInstance", instance, c_uint(profile_id))

    def destroy_gpu_instance(self, instance: c_void_p) -> None:
        """Destroy a GPU instance."""
        self.call("nvmlGpuInstanceDestroy", instance)

    def destroy_compute_instance(self, compute: c_void_p) -> None:
        """Destroy a compute instance."""
        self.call("nvmlComputeInstanceDestroy", compute)

    def gpu_instance(self, gpu: c_void_p, instance_id: int) -> c_void_p:
        """Handle of the GPU instance with this id."""
        return self._handle("nvmlDeviceGetGpuInstanceById", gpu, c_uint(instance_id))

    def compute_instance(self, instance: c_void_p, compute_id: int) -> c_void_p:
        """Handle of the compute instance with this id."""
        return self._handle("nvmlGpuInstanceGetComputeInstanceById", instance, c_uint(compute_id))

    def mig_device(self, gpu: c_void_p, index: int) -> c_void_p:
        """Handle of a GPU's MIG device by place."""
        return self._handle("nvmlDeviceGetMigDeviceHandleByIndex", gpu, c_uint(index))

    def uuid(self, device: c_void_p) -> str:
        """UUID of a GPU or MIG device."""
        return self._text("nvmlDeviceGetUUID", device)

    def name(self, device: c_void_p) -> str:
        """Name of a GPU or MIG device."""
        return self._text("nvmlDeviceGetName", device)

    def placements(self, gpu: c_void_p, profile_id: int) -> list[tuple[int, int]]:
        """(start, size) at which a profile may stand."""
        room, count = (Placement * 16)(), c_uint(16)
        self.call("nvmlDeviceGetGpuInstancePossiblePlacements_v2", gpu, c_uint(profile_id), room, byref(count))
        return [(place.start, place.size) for place in room[: count.value]]

    def remaining_capacity(self, gpu: c_void_p, profile_id: int) -> int:
        """At how many places a GPU instance could stand now."""
        return self._number("nvmlDeviceGetGpuInstanceRemainingCapacity", gpu, c_uint(profile_id))

    def set_mig_mode(self, gpu: c_void_p, mode: int) -> None:
        """Switch MIG on or off."""
        self._number("nvmlDeviceSetMigMode", gpu, c_uint(mode))

    def _handle(self, function: str, *arguments: object) -> c_void_p:
        made = c_void_p()
        self.call(function, *arguments, byref(made))
        return made

    def _number(self, function: str, *arguments: object) -> int:
        value = c_uint()
        self.call(function, *arguments, byref(value))
        return value.value

    def _text(self, function: str, *arguments: object) -> str:
        room = create_string_buffer(_TEXT)
        self.call(function, *arguments, room, c_uint(_TEXT))
        return room.value.decode()
