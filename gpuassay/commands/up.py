"""`gpuassay up`: an embedded cluster for a person, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least, place, text
from gpuassay.commands import SubParsers
from gpuassay.secrets import hide
from gpuassay.session import signals
from gpuassay.told import told
from gpuassay.toolchain import Assets
from gpuassay.waiting import WaitError

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "up",
        help="run a cluster with fake GPU nodes and Kueue until Ctrl-C",
        description="Runs a control plane, fake GPU nodes and Kueue as processes of this machine until Ctrl-C.",
    )
    parser.add_argument("--kueue", action=argparse.BooleanOptionalAction, default=True, help="install Kueue or not")
    parser.add_argument(
        "--profile", type=text, default="default", help="Kueue configuration profile (default: %(default)s)"
    )
    parser.add_argument("--nodes", type=at_least(0, 5000), default=1, help="fake nodes (default: %(default)s)")
    parser.add_argument("--gpus", type=at_least(0, 1024), default=8, help="GPUs of each node (default: %(default)s)")
    parser.add_argument("--directory", type=place, help="empty folder for logs and kubeconfig (default: temporary)")
    parser.add_argument(
        "--asset", action="append", default=[], metavar="NAME=DIR", type=text, help="programs that you bring"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the cluster; 0 after Ctrl-C or SIGTERM, 1 when a component died, 2 when it cannot be started."""
    from gpuassay.cluster.embedded import embedded
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.systems.kueue import component as kueue

    assets = Assets.parse(options.asset)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started us with SIGINT ignored
    signals.as_interrupt()
    began = time.monotonic()
    try:
        if options.kueue:
            kueue.profile(options.profile)  # a wrong name is told before anything is started
        if options.directory is not None:
            _claim(options.directory)
        with contextlib.ExitStack() as stack:
            folder = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpuassay-")))
            ours = embedded(directory=folder, assets=assets, nodes=options.nodes, gpus=options.gpus)
            cluster = stack.enter_context(ours)
            if options.kueue:
                stack.enter_context(kueue.install(cluster, options.profile))
            _describe(cluster, time.monotonic() - began)
            return _until_stopped(cluster)
    except (ClusterError, WaitError) as error:
        print(f"gpuassay up: {hide(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 0


def _claim(folder: Path) -> None:
    """Keys and logs go into a folder of their own, among nobody's files.

    Raises:
        ClusterError: it is not empty, or cannot be made; one line says so.
    """
    from gpuassay.cluster.errors import ClusterError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ClusterError(f"--directory {folder} is not empty: name a new folder")
    except OSError as error:
        raise ClusterError(f"--directory {told(error)}: name another folder") from None


def _describe(cluster: Cluster, seconds: float) -> None:
    print(f"ready after {seconds:.1f} s\n\n  export KUBECONFIG={cluster.kubeconfig}\n")
    for part in cluster.components:
        print(f"  {part.name:<24} {part.version:<10} {part.source}")
    print("\nNot real:")
    for entry in cluster.emulated:
        print(f"  {entry['what']} (by {entry['by']}): {entry['means']}")
    print(f"\nLogs: {cluster.directory / 'logs'}\nCtrl-C stops it all.", flush=True)


def _until_stopped(cluster: Cluster) -> int:
    while True:
        if death := cluster.component_died():
            print(f"gpuassay up: {death}", file=sys.stderr)
            return 1
        time.sleep(0.5)
