"""One switch that ends whatever this process builds or waits for a build of, in whatever thread."""

from __future__ import annotations

from gpuassay.toolchain.errors import ToolchainError

_why: list[str] = []


def halt(why: str) -> None:
    """End what is under way, and each that is begun before `resume`, with a `ToolchainError` that says `why`."""
    _why[:] = [why]


def resume() -> None:
    """Let builds build again."""
    _why.clear()


def check(what: str) -> None:
    """Raise ToolchainError if `what` is to end."""
    for why in _why:
        raise ToolchainError(f"{what}: {why}")
