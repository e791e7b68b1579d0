"""pytest on the suites that come with the library, from a checkout or from an installed wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gpuassay import resources


def pytest_arguments(arguments: Sequence[str], *, place: Path | None = None) -> list[str]:
    """Arguments of pytest that run the bundled suites from any folder.

    Args:
        arguments: as for `pytest`; `suites/...` names something bundled, and without any path all suites are meant.
        place: where `reports` begin; the current folder if it is not given.
    """
    found = [_resolved(one) for one in arguments]
    if not any(one.startswith(str(resources.ROOT)) for one in found):
        found.insert(0, str(resources.ROOT / "suites"))
    fixed = [f"--config-file={resources.ROOT / 'pyproject.toml'}", f"--rootdir={resources.ROOT}"]
    if resources.INSTALLED:
        fixed += ["-p", "no:cacheprovider"]  # the package may be somebody else's to write to
    if not any(one == "--run-dir" or one.startswith("--run-dir=") for one in found):
        fixed.append(f"--run-dir={(place or Path.cwd()) / 'reports' / 'runs'}")
    return [*fixed, *found]


def run(arguments: Sequence[str], *, place: Path | None = None) -> int:
    """Run the bundled suites in this process; pytest's exit code. Arguments as in `pytest_arguments`."""
    return int(pytest.main(pytest_arguments(arguments, place=place)))


def _resolved(argument: str) -> str:
    path, mark, rest = argument.partition("::")
    bundled = resources.ROOT / path
    inside = path.split("/")[0] == "suites" and bundled.exists()
    return f"{bundled}{mark}{rest}" if inside else argument
