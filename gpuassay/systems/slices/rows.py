"""Rows of a recording of slices: what was done to a GPU."""

from __future__ import annotations

import msgspec


class SiliconEvent(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something that was done to the GPUs of a node, or refused (`gpuassay.silicon.state.Event`).

    Attributes:
        node: whose GPUs; the scenario's token.
        at: wall clock, ns since the epoch.
        kind: a value of `gpuassay.silicon.layout.EVENT_KINDS`.
        gpu: index on the node, None where it concerns none.
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

    node: str
    at: int
    kind: str
    gpu: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    name: str = ""
    start: int = 0
    size: int = 0
    uuid: str = ""
    code: int = 0
    process: int = 0
    serial: int = 0
