"""The fake GPUs as tests see them: made, looked at, broken on purpose, while programs use them.

The state is one file that the fake library maps. Every access here holds the same lock as the library's calls, so a
reader sees whole changes. The file outlives the programs that use it, as slices outlive a driver's restart.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuassay.gpus import GpuModel, gpu_model
from gpuassay.silicon import layout, tables
from gpuassay.silicon.errors import SiliconError

ENVIRONMENT = "GPUASSAY_NVML_STATE"
"""Environment variable by which a program's fake library finds its state file."""

TRACE_ENVIRONMENT = "GPUASSAY_NVML_TRACE"
"""Environment variable that names a file for `PID FUNCTION CODE`: the answers that differ from the one before."""

DRIVER_VERSION, NVML_VERSION, CUDA_VERSION = "550.54.15", "12.550.54.15", 12040
FOREVER = 0xFFFFFFFF
_FIRST_BUS = 0x10


@dataclass(frozen=True)
class Slice:
    """A GPU instance. `start` and `size` count memory slices; `uuids` are its MIG devices, none without compute.

    `serial` tells it from another that was made later at the same place.
    """

    gpu: int
    profile: str
    start: int
    size: int
    gpu_instance: int
    uuids: tuple[str, ...]
    busy: bool
    serial: int


@dataclass(frozen=True)
class Event:
    """Something that was done to the GPUs, or refused.

    Attributes:
        at: wall clock, ns since the epoch.
        kind: a value of `layout.EVENT_KINDS`.
        gpu: index, or None where it concerns none.
        gpu_instance: its id, or None.
        compute_instance: its id, or None.
        name: the MIG profile; of a refusal on demand the function.
        start: first memory slice (of a compute instance: compute slice).
        size: slices.
        uuid: of a compute instance: the MIG device.
        code: NVML's return code of a refusal, the number of an Xid, or the MIG mode.
        process: id of the process that did it, in its own PID namespace.
        serial: of the GPU or compute instance.
    """

    at: int
    kind: str
    gpu: int | None
    gpu_instance: int | None
    compute_instance: int | None
    name: str
    start: int
    size: int
    uuid: str
    code: int
    process: int
    serial: int

    def row(self) -> dict[str, Any]:
        """A line of `silicon.jsonl`."""
        return asdict(self)


class Silicon:
    """The fake GPUs of one node.

    Attributes:
        path: the state file.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing state.

        Raises:
            SiliconError: it is missing, of another version or damaged.
        """
        self.path = path
        try:
            if path.stat().st_size != ctypes.sizeof(layout.State):
                raise SiliconError(f"{path} is no state of fake GPUs: {path.stat().st_size} bytes; make a new one")
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            raise SiliconError(f"the state of the fake GPUs {path} cannot be opened: {error.strerror}") from None
        self._state = layout.State.from_buffer(self._map)
        with self._locked() as state:
            if bytes(state.magic) != layout.MAGIC or state.version != layout.VERSION:
                raise SiliconError(f"{path} is no state of fake GPUs of version {layout.VERSION}; make a new one")
            if not 1 <= state.models_count <= layout.MODELS or state.gpus_count > layout.GPUS:
                raise SiliconError(f"the state of the fake GPUs {path} is damaged: impossible counts; make a new one")
            if state.models_checksum != tables.models_checksum(state):
                raise SiliconError(f"the state of the fake GPUs {path} is damaged: its tables changed; make a new one")

    @classmethod
    def create(
        cls,
        path: Path,
        models: Sequence[str] = ("a100-40gb",) * 8,
        *,
        mig: bool = True,
        unique_uuids: bool = True,
        seed: str = "gpuassay",
    ) -> Silicon:
        """Make fresh GPUs, one for each entry of `models`, in place of whatever the file held.

        Args:
            path: the state file; its folder exists.
            models: names of `placement_tables.MODELS`, at most 16 GPUs of at most four models.
            mig: whether MIG mode is on.
            unique_uuids: no two slices ever share a UUID; else the same place gives the same UUID again.
            seed: decides the UUIDs of the GPUs.

        Raises:
            ValueError: an unknown model.
            SiliconError: too many, or the file cannot be written.
        """
        kinds = [gpu_model(name) for name in dict.fromkeys(models)]
        if not 1 <= len(models) <= layout.GPUS or len(kinds) > layout.MODELS:
            raise SiliconError(
                f"{len(models)} fake GPUs of {len(kinds)} models: 1 to {layout.GPUS} of at most {layout.MODELS}"
            )
        state = layout.State(magic=layout.MAGIC, version=layout.VERSION, size=ctypes.sizeof(layout.State))
        state.driver, state.nvml, state.cuda_version = DRIVER_VERSION.encode(), NVML_VERSION.encode(), CUDA_VERSION
        state.gpus_count, state.unique_uuids = len(models), int(unique_uuids)
        tables.fill(state, kinds)
        for index, name in enumerate(models):
            gpu = state.gpus[index]
            gpu.uuid = f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{seed}/{index}')}".encode()
            gpu.model = [kind.name for kind in kinds].index(name)
            gpu.mig_mode, gpu.minor, gpu.bus = int(mig), index, _FIRST_BUS + index
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(bytes(state))
            fresh.rename(path)
        except OSError as error:
            raise SiliconError(f"the state of the fake GPUs {path} cannot be written: {error.strerror}") from None
        return cls(path)

    def close(self) -> None:
        """Let go of the file; the GPUs stay."""
        del self._state
        self._map.close()

    @property
    def gpus(self) -> list[str]:
        """UUIDs of the GPUs, by index."""
        with self._locked() as state:
            return [bytes(gpu.uuid).decode() for gpu in state.gpus[: state.gpus_count]]

    @property
    def models(self) -> list[GpuModel]:
        """What each GPU is, by index."""
        with self._locked() as state:
            return [gpu_model(state.models[gpu.model].name.decode()) for gpu in state.gpus[: state.gpus_count]]

    def slices(self) -> list[Slice]:
        """The GPU instances that exist now, by GPU and start."""
        found: list[Slice] = []
        with self._locked() as state:
            for index, gpu in enumerate(state.gpus[: state.gpus_count]):
                for one in gpu.instances:
                    if one.used:
                        name = state.models[gpu.model].profiles[one.profile].name.decode()
                        uuids = tuple(compute.uuid.decode() for compute in one.compute if compute.used)
                        busy = bool(one.busy)
                        found.append(Slice(index, name, one.start, one.size, one.id, uuids, busy, one.serial))
        return sorted(found, key=lambda one: (one.gpu, one.start))

    def events(self, since: int = 0) -> list[Event]:
        """What happened from the `since`th event on (0: the first since the state was made).

        Raises:
            SiliconError: older ones were asked for than the file still holds.
        """
        with self._locked() as state:
            total = state.events_count
            if total - since > layout.EVENTS:
                raise SiliconError(
                    f"{total - since} events, but the file holds the last {layout.EVENTS}: read more often"
                )
            return [_event(state.events[number % layout.EVENTS]) for number in range(since, total)]

    # --- what a test does to the GPUs

    def inject(
        self, function: str, code: int = 0, *, gpu: int | None = None, skip: int = 0, times: int = 1, delay: float = 0
    ) -> None:
        """Let calls of `function` answer `code`, or take longer.

        Args:
            function: an NVML function that the fake implements, such as `nvmlGpuInstanceCreateComputeInstance`.
            code: NVML's return code; 0: it is only slow; `errors.DIE_BEFORE`, `DIE_AFTER`: its caller is killed.
            gpu: only calls on this GPU.
            skip: calls that still go well.
            times: calls that go wrong after that; `FOREVER`.
            delay: seconds.

        Raises:
            SiliconError: 16 faults are set already; `heal` removes them.
        """
        with self._locked() as state:
            for place in state.faults:
                if not place.function:
                    place.gpu, place.code = -1 if gpu is None else gpu, code
                    place.skip, place.count, place.delay_ms, place.hits = skip, times, round(delay * 1000), 0
                    place.function = function.encode()
                    return
        raise SiliconError(f"{layout.FAULTS} faults are set already: heal() removes them")

    def heal(self) -> None:
        """Remove all faults, and bring lost GPUs back."""
        with self._locked() as state:
            ctypes.memset(ctypes.addressof(state.faults), 0, ctypes.sizeof(state.faults))
            for gpu in state.gpus:
                gpu.lost = 0

    def hits(self, function: str) -> int:
        """How often calls met a fault of `function`, those that still went well included."""
        with self._locked() as state:
            return sum(place.hits for place in state.faults if place.function == function.encode())

    def lose(self, gpu: int) -> None:
        """From now on every call on this GPU answers that it is lost."""
        with self._locked() as state:
            state.gpus[self._index(state, gpu)].lost = 1

    def xid(self, gpu: int, number: int, slice_: Slice | None = None) -> None:
        """A critical error `number` on a GPU, or on one slice of it."""
        with self._locked() as state:
            event = layout.EventState(time_ns=time.time_ns(), kind=6, gpu=self._index(state, gpu), code=number)
            event.gpu_instance = event.compute_instance = layout.NOTHING
            if slice_ is not None:
                event.gpu_instance, event.compute_instance = slice_.gpu_instance, 0
            event.process = os.getpid()
            state.events[state.events_count % layout.EVENTS] = event
            state.events_count += 1

    def occupy(self, slice_: Slice, busy: bool = True) -> None:
        """Let a slice be in use by a process: it cannot be destroyed until `busy` is False."""
        with self._locked() as state:
            for one in state.gpus[self._index(state, slice_.gpu)].instances:
                if one.used and one.serial == slice_.serial:
                    one.busy = int(busy)
                    for compute in one.compute:
                        compute.busy = int(busy)
                    return
        raise SiliconError(f"the slice {slice_.profile} at {slice_.start} of GPU {slice_.gpu} is gone")

    def reboot(self) -> None:
        """All slices go, as they do when a machine starts anew; MIG mode stays on, as on an A100."""
        with self._locked() as state:
            for gpu in state.gpus:
                ctypes.memset(ctypes.addressof(gpu.instances), 0, ctypes.sizeof(gpu.instances))
            event = layout.EventState(time_ns=time.time_ns(), kind=8, gpu=layout.NOTHING, name=b"reboot")
            event.gpu_instance = event.compute_instance = layout.NOTHING
            state.events[state.events_count % layout.EVENTS] = event
            state.events_count += 1

    @staticmethod
    def _index(state: layout.State, gpu: int) -> int:
        if not 0 <= gpu < state.gpus_count:
            raise SiliconError(f"there is no GPU {gpu}: they are 0 to {state.gpus_count - 1}")
        return gpu

    @contextmanager
    def _locked(self) -> Generator[layout.State]:
        # A lock of its own for each access: threads of this process would share one that belongs to the file object.
        handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self._state
        finally:
            os.close(handle)


def _event(raw: layout.EventState) -> Event:
    def known(value: int) -> int | None:
        return None if value == layout.NOTHING else value

    return Event(
        at=raw.time_ns,
        kind=layout.EVENT_KINDS.get(raw.kind, "unknown"),
        gpu=known(raw.gpu),
        gpu_instance=known(raw.gpu_instance),
        compute_instance=known(raw.compute_instance),
        name=raw.name.decode(errors="replace"),
        start=raw.start,
        size=raw.size,
        uuid=raw.uuid.decode(errors="replace"),
        code=raw.code,
        process=raw.process,
        serial=raw.serial,
    )
