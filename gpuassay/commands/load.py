"""`gpuassay load`: carry out a plan from pods of a cluster, and keep the merged rows."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gpuassay.commands import SubParsers, at_least, positive


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "load",
        help="put a planned load on a server from pods of an existing cluster",
        description="Creates an Indexed Job of load pods, waits for them, merges their rows and removes the Job.",
    )
    parser.add_argument("plan", type=Path, help="the plan, JSON (docs/load.md)")
    parser.add_argument("out", type=Path, help="where the merged rows are written")
    parser.add_argument("--kubeconfig", metavar="FILE", help="the cluster; several as FILE:FILE (default: $KUBECONFIG)")
    parser.add_argument("--context", help="context of the kubeconfig (default: its current one)")
    parser.add_argument("--namespace", default="default", help="namespace of the pods (default: %(default)s)")
    parser.add_argument("--image", required=True, help="image with Python and gpuassay")
    parser.add_argument("--pods", type=at_least(1), required=True, help="how many load pods")
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
    api, _ = connect(require(options.kubeconfig), options.context)
    try:
        found = spread(api, plan, Pods(options.namespace, options.image, options.pods, options.start_in))
    except WaitTimeout as late:
        raise LoadError(str(late)) from None
    write_result(found.result, options.out)
    with options.out.with_suffix(".pods.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in found.rows())
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
