"""`gpuassay paper`: play the paper's experiments until its claims are decided, and write the page that says so."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.record.pack import RunError, open_run
from gpuassay.session import bundled

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers

PAGE = "README.md"
PLAYED = (0, 1)
"""pytest's exit codes after which there is something to tell: all claims reproduced, or some not."""


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "paper",
        help="decide the paper's claims, and write the page that tells them",
        description="Plays what no earlier run in the folder of runs has recorded, judges, and writes README.md into "
        "OUT. With RUN nothing is played: the page is made of that run. Exit code 0 once the page is written, whatever "
        "it says; 2 where no claim was judged.",
    )  # fmt: skip
    parser.add_argument(
        "stored", metavar="RUN", nargs="?", type=place, help="a run directory or .tar.xz, judged already"
    )
    parser.add_argument("--out", metavar="OUT", type=place, default=Path("docs/paper"), help="folder of the page")
    parser.add_argument(
        "--runs",
        metavar="DIR",
        type=place,
        default=Path("reports/paper/runs"),
        help="folder of runs, whose rounds count",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play and write; pytest's exit code where it could not run.

    Raises:
        RunError: no run, or one in which no claim of the paper was judged.
    """
    from gpuassay.report import claims, rundir

    runs: Path = options.runs.absolute()
    opened = open_run(options.stored) if options.stored else None
    if opened is None:
        code = bundled.run(["-m", "paper", "--build", "slices", f"--run-dir={runs}"])
        if code not in PLAYED:
            return code
        opened = max(runs.iterdir())
    loaded = rundir.load(opened)
    found = claims.claims(loaded.verdicts)
    if not found:
        raise RunError(f"{opened}: no claim of the paper was judged in it; `gpuassay paper` plays them")
    options.out.mkdir(parents=True, exist_ok=True)
    target: Path = options.out / PAGE
    target.write_text(claims.page(loaded, digest(opened), "make paper"), encoding="utf-8")
    for one in found:
        print(claims.claim_line(one))
    print(f"gpuassay: {len(found)} claims of the paper in {target}", file=sys.stderr)
    return 0


def digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files of a run's recordings, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted((folder / "recordings").rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()
