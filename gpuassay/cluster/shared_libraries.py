"""What a dynamically linked program needs beside itself, for images that hold nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gpuassay.cluster.errors import ClusterError


def shared_libraries(program: Path) -> list[Path]:
    """Libraries, and their loader, that a dynamically linked program needs, where this machine has them.

    Raises:
        ClusterError: ldd(1) is missing, or finds that a library is.
    """
    try:
        done = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        raise ClusterError(f"ldd is missing: without it the libraries of {program.name} are not known") from None
    if done.returncode or "not found" in done.stdout:
        raise ClusterError(f"{program} cannot be run here: {' '.join((done.stderr or done.stdout).split())[:300]}")
    return [Path(one) for one in re.findall(r"(/\S+) \(0x", done.stdout)]
