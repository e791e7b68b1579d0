"""Upstream programs from Go modules: found, or built and kept.

Versions are written in `modules/*/go.mod` and nowhere else.
"""

from gpuassay.toolchain.assets import Assets
from gpuassay.toolchain.errors import ToolchainError, UnobtainableError
from gpuassay.toolchain.resolve import Programs, available, module_dir, programs

__all__ = ["Assets", "Programs", "ToolchainError", "UnobtainableError", "available", "module_dir", "programs"]
