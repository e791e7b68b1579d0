"""Errors of the toolchain: each is one line a user can act on."""

from __future__ import annotations


class ToolchainError(Exception):
    """A program cannot be had. The message is one line; `gpuassay` prints it and exits with `exit_code`."""

    exit_code = 2


class UnobtainableError(ToolchainError):
    """This machine lacks Go or cannot reach the module registry: no fault of the suite, so live parts are skipped."""

    exit_code = 3
