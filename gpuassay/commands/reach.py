"""`gpuassay reach`: how much of everything that is declared a run judged live on its cluster."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import place

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers
    from gpuassay.verdict import Verdict

WHOLE = 100.0
"""Per cent."""


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "reach",
        help="how many of all behaviours were judged live on a cluster, and why the others were not",
        description="Counts what ended as PASS, FAIL or KNOWN-DEFECT in one or more runs on one cluster, of all "
        "behaviours of the bundled suites, whatever the runs selected. Exit code 1 where the rules stay below --least.",
    )
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN_DIR", help="such as reports/latest")
    parser.add_argument("--least", type=_per_cent, default=0.0, metavar="PERCENT", help="of the rules, 0 to 100")
    parser.add_argument("--json", action="store_true", help="print the count as JSON")
    parser.set_defaults(run=run)


def _per_cent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= WHOLE:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give per cent from 0 to 100")
    return value


def run(options: argparse.Namespace) -> int:
    """Count; 1 where the rules stay below `--least`.

    Raises:
        ReportError: a run directory cannot be read, is a replay or of a mutant, or the runs are of several clusters.
    """
    from gpuassay.report import reach
    from gpuassay.session.declared import everything
    from gpuassay.system import why_lacking

    loaded = [_live(one) for one in options.runs]
    if len(places := {where for where, _ in loaded}) > 1:
        from gpuassay.report import ReportError

        raise ReportError(f"runs on different clusters are not counted together: {'; '.join(sorted(places))}")
    asked = [reach.Asked(one.id, one.behaviour.suite, one.measured) for one in everything()]
    counted = reach.reach(asked, [verdicts for _, verdicts in loaded], why_lacking)
    if options.json:
        print(json.dumps({"cluster": loaded[0][0], **counted.to_json()}, indent=1))
    else:
        print(f"Judged live on {loaded[0][0]}", *reach.lines(counted), sep="\n")
    whole = counted.whole
    return 1 if whole.judged < options.least / WHOLE * whole.declared else 0


def _live(run_dir: Path) -> tuple[str, list[Verdict]]:
    """Where a run was live, and its verdicts."""
    from gpuassay.report import ReportError, load

    found = load(run_dir)
    if found.run.mode != "live" or found.run.mutant:
        raise ReportError(f"{run_dir}: {found.run.banner}: only a live run of a sound system says what can be judged")
    cluster = found.run.cluster
    if cluster is None:
        raise ReportError(f"{run_dir}: no cluster stands in run.json: nothing was acted out")
    return f"{cluster.provider}, Kubernetes {cluster.kubernetes or 'unknown'}", found.verdicts
