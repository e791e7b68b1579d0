"""`gpuassay load`: carry out a plan from pods of a cluster, and keep the merged rows."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from gpuassay import writable
from gpuassay.arguments import at_least, place, positive, text
from gpuassay.commands import SubParsers
from gpuassay.secrets import hide_known


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "load",
        help="put a planned load on a server from pods of an existing cluster",
        description="Creates an Indexed Job of load pods, waits for them, merges their rows and removes the Job.",
    )
    parser.add_argument("plan", type=place, help="the plan, JSON (docs/load.md)")
    parser.add_argument("out", type=place, help="where the merged rows are written, a new file")
    parser.add_argument(
        "--kubeconfig", type=text, metavar="FILE", help="the cluster; several as FILE:FILE (default: $KUBECONFIG)"
    )
    parser.add_argument("--context", type=text, help="context of the kubeconfig (default: its current one)")
    parser.add_argument(
        "--namespace", type=text, default="default", help="namespace of the pods (default: %(default)s)"
    )
    parser.add_argument("--image", type=text, required=True, help="image with Python and gpuassay")
    parser.add_argument("--pods", type=at_least(1, 10_000), required=True, help="how many load pods")
    parser.add_argument("--start-in", type=positive, default=60.0, help="s until all pods begin (default: %(default)g)")
    parser.add_argument(
        "--effect", type=positive, metavar="MS", help="TTFT difference to be told, ms: exit code 1 if a pod cannot"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Spread, merge, write; 0 when all rows are there, and every pod's generator can tell the effect."""
    from gpuassay.cluster.existing import connect, require
    from gpuassay.load.errors import LoadError
    from gpuassay.load.plan import read_plan
    from gpuassay.load.rows import write_result
    from gpuassay.load.spread import clock_doubts, pod_doubts, start_spread_ms
    from gpuassay.load.spread_job import Pods, spread
    from gpuassay.waiting import WaitTimeout

    plan = read_plan(options.plan)
    out: Path = options.out
    pods = out.with_name(f"{out.stem}.pods.jsonl")
    for file in (out, pods):  # before a server is put under load for rows that cannot be kept
        if os.path.lexists(file):
            raise LoadError(f"{file} is there already: remove it, or name another file")
    if problem := writable.why_not(out.parent):
        raise LoadError(f"{out.parent} cannot be written to ({problem}): name another folder for the rows")
    api, _ = connect(require(options.kubeconfig), options.context)
    try:
        found = spread(api, plan, Pods(options.namespace, options.image, options.pods, options.start_in))
    except WaitTimeout as late:
        raise LoadError(str(late)) from None
    write_result(found.result, out)
    with pods.open("w") as file:
        file.writelines(hide_known(json.dumps(row)) + "\n" for row in found.rows())
    tail = found.result.tail
    print(f"{tail.asked} asked, {tail.ok} ok, {tail.failed} failed by {len(found.notes)} pods")
    print(f"pods began within {start_spread_ms(found.notes):.1f} ms by their own clocks")
    for note in found.notes:
        told = note.control.sentence() if note.control else "no control"
        print(f"  {note.pod} on {note.node}: {told}")
    for doubt in clock_doubts(found.notes, within_ms=1.0):
        print(f"  {doubt}: compare times within a row only")
    unable = pod_doubts(found.notes, options.effect) if options.effect else []
    for doubt in unable:
        print(f"  {doubt}")
    return 1 if unable else 0
