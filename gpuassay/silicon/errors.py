"""Errors of the fake GPUs."""

from __future__ import annotations


class SiliconError(Exception):
    """A state that cannot be used or made. The message is one line that says what is wrong and what to do."""


class NvmlError(SiliconError):
    """The library refused a call. `code` is NVML's return code."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function}: {CODES.get(code, 'an unknown error')} ({code})")
        self.function, self.code = function, code


CODES = {
    1: "uninitialized",
    2: "invalid argument",
    3: "not supported",
    6: "not found",
    7: "insufficient size",
    9: "driver not loaded",
    10: "timeout",
    15: "GPU is lost",
    19: "in use by another client",
    23: "insufficient resources",
    999: "unknown error",
}
"""NVML return codes that the fake answers, in words."""

INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, GPU_IS_LOST, IN_USE, INSUFFICIENT_RESOURCES = 2, 3, 6, 15, 19, 23
DIE_BEFORE, DIE_AFTER = -1, -2
"""No NVML codes: the caller is killed just before, or just after, the change is made."""
