"""`gpuassay vacuity`: falsify the recordings of a run and judge them again; who stays green proves nothing by it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import resources
from gpuassay.arguments import place, text
from gpuassay.record.pack import RunError, open_run
from gpuassay.scratch import scratch
from gpuassay.session import bundled

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers
    from gpuassay.vacuity.table import Judged


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "vacuity",
        help="falsify a run's recordings and see that nothing stays green",
        description="Each behaviour that held is judged again on recordings in which something that its test reads is"
        " false. Exit code 1 if one stays green and no reason is known why it may.",
    )
    parser.add_argument(
        "stored", metavar="RUN", nargs="?", type=place,
        help="a run directory or .tar.xz (default: the latest run, else the one that comes with the project)",
    )  # fmt: skip
    parser.add_argument("-k", dest="keyword", type=text, help="only behaviours of tests that this expression selects")
    parser.add_argument("--quick", action="store_true", help="a few doctorings, and no measurements: a minute")
    parser.add_argument("--json", type=place, metavar="FILE", help="write the table there as JSON, a new file")
    parser.add_argument("--exhibit", action="store_true", help="put the table among the exhibits of RUN's report")
    parser.add_argument(
        "-n", dest="processes", type=int, default=os.cpu_count() or 1, help="processes (default: all CPUs)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge again, print the table; 0 if nobody stays green without a reason."""
    from gpuassay.vacuity import table
    from gpuassay.vacuity.argued import ARGUED

    stored: Path = options.stored or _latest() or resources.RECORDED_RUN
    if options.exhibit and not stored.is_dir():
        raise RunError(f"{stored}: --exhibit writes into a run directory; name one")
    opened = open_run(stored)
    with scratch("vacuity") as folder:
        judged = judge(opened, folder / "runs", options)  # `latest` is made beside a folder of runs
    if not judged:
        print(f"gpuassay: {stored}: nothing that holds was judged; is something selected?", file=sys.stderr)
        return 2
    for line in table.text(judged, ARGUED):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(table.as_json(judged, ARGUED), indent=1) + "\n")
    if options.exhibit:
        exhibit = table.exhibit(judged, ARGUED)
        (opened / "exhibits").mkdir(exist_ok=True)
        (opened / "exhibits" / "vacuity.json").write_text(json.dumps(exhibit) + "\n")
    stale: list[str] = []
    if stored == resources.RECORDED_RUN:  # of another run, from a cluster that lacks much, an exception may say nothing
        stale = table.idle(judged, ARGUED, whole=not options.quick and not options.keyword)
        for one in stale:
            print(f"an exception excuses nothing: {one}")
    return 1 if stale or table.unargued(judged, ARGUED) else 0


def _latest() -> Path | None:
    """The latest run here, if it has acted something out."""
    latest = Path.cwd() / "reports" / "latest"
    kept = latest / "recordings"
    return latest if kept.is_dir() and any(kept.iterdir()) else None


def judge(run: Path, folder: Path, options: argparse.Namespace) -> list[Judged]:
    """Judge the recordings of `run` again and again; files go into `folder`.

    Raises:
        RunError: pytest could not begin.
    """
    from gpuassay.vacuity import judging, table

    command = [
        sys.executable, "-m", "pytest",
        *bundled.pytest_arguments([
            "-q", f"--replay={run}", f"--run-dir={folder}", "-p", "gpuassay.vacuity.judging", "-p", "no:cacheprovider",
            "-p", "no:allure_pytest", *(["-n", str(options.processes)] if options.processes > 1 else []),
            *(["-k", options.keyword] if options.keyword else []),
            *(["-m", "not perf and not scale"] if options.quick else []),
        ]),
    ]  # fmt: skip
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTEST_ADDOPTS", judging.QUICK)}
    environment = inherited | ({judging.QUICK: "1"} if options.quick else {})
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(resources.IMPORT_PATH), inherited.get("PYTHONPATH")]))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 5):  # 1: a behaviour is refuted, and is then left alone; 5: nothing is selected
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RunError(f"{run}: cannot be judged: {told[-1] if told else f'pytest ended with {done.returncode}'}")
    return [one for made in sorted(folder.glob(f"*/{judging.LINES}")) for one in table.read(made)]
