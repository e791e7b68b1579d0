"""`gpuassay up`: a cluster for a person, until Ctrl-C: with fake nodes, or one like a user's."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least, place, text
from gpuassay.commands import SubParsers
from gpuassay.gpus import MODELS
from gpuassay.scratch import scratch
from gpuassay.secrets import hide
from gpuassay.session import signals
from gpuassay.told import told
from gpuassay.toolchain import Assets
from gpuassay.toolchain.progress import say_on_stderr
from gpuassay.waiting import WaitError

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster

MOST_GPUS = 16
"""Of one node with fake GPUs of a model."""
MOST_COUNTED = 1024
"""Of a fake node, where a GPU is a number."""


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "up",
        help="run a cluster until Ctrl-C: fake GPU nodes and Kueue, or one like yours",
        description="Runs a control plane, fake GPU nodes and Kueue as processes of this machine until Ctrl-C. With "
        "--like-yours (root) it is a cluster as users have one, and nothing is installed on it: real kubelets that run "
        "containers, Services, DNS, images by upstream's names.",
    )
    parser.add_argument("--like-yours", action="store_true", help="a cluster with real nodes, without Kueue")
    parser.add_argument("--kueue", action=argparse.BooleanOptionalAction, help="install Kueue or not (default: yes)")
    parser.add_argument("--profile", type=text, help="Kueue configuration profile (default: default)")
    parser.add_argument("--nodes", type=at_least(0, 5000), help="nodes (default: 1 fake one, or 2 real ones)")
    parser.add_argument(
        "--gpus", type=_gpus, metavar="N | MODEL*N", default=None,
        help="GPUs of each node (default: 8, or none with --like-yours, whose fake GPUs have models: a100-40gb*8)",
    )  # fmt: skip
    parser.add_argument(
        "--mig", action="append", default=[], metavar="GEOMETRY", type=text,
        help="with --like-yours: how GPUs are cut beforehand: all-balanced, none, or profiles such as 3g.20gb,2g.10gb; "
        "given several times for the first GPU, the second .., the last for all further ones (default: MIG mode off)",
    )  # fmt: skip
    parser.add_argument(
        "--emulated-version", type=text, metavar="1.N",
        help="with --like-yours: imitate the API of an older Kubernetes, such as 1.34, with the same programs",
    )  # fmt: skip
    parser.add_argument(
        "--private-registries", type=place, metavar="FILE",
        help="with --like-yours: the registries that FILE names (as docker login writes it) have every image under "
        "their own names, for who shows these credentials: what --mirror and --pull-secret are tried with",
    )  # fmt: skip
    parser.add_argument("--directory", type=place, help="empty folder for logs and kubeconfig (default: temporary)")
    parser.add_argument(
        "--asset", action="append", default=[], metavar="NAME=DIR", type=text, help="programs that you bring"
    )
    parser.set_defaults(run=run)


def _gpus(word: str) -> tuple[str, int]:
    """A model, "" where none is named, and a number."""
    model, _, number = word.rpartition("*") if "*" in word or word.isdigit() else (word, "", "1")
    named = model[:1].isalpha() if model else "*" not in word
    if not named or not number.isdigit() or int(number) > (MOST_GPUS if model else MOST_COUNTED):
        raise argparse.ArgumentTypeError(
            f"{word!r}: a number up to {MOST_COUNTED}, or MODEL*NUMBER up to {MOST_GPUS}, such as a100-40gb*8"
        )
    return model, int(number)


def refused(options: argparse.Namespace) -> str | None:
    """Why the options cannot be followed together, or None."""
    model, number = options.gpus or ("", 0)
    if not options.like_yours:
        if options.emulated_version:
            return "only --like-yours imitates an older Kubernetes: leave out --emulated-version"
        if options.private_registries:
            return "only nodes of --like-yours pull images: leave out --private-registries"
        if options.mig:
            return "only GPUs of --like-yours can be cut: leave out --mig"
        return "fake nodes have GPUs of no model: give --gpus a number" if model else None
    if options.kueue or options.profile:
        return "--like-yours is a cluster without Kueue: leave out --kueue and --profile"
    if number and model not in MODELS:
        wrong = f"there is no model {model!r}" if model else "its GPUs have a model"
        return f"--like-yours: {wrong}; give --gpus MODEL*{number}, MODEL one of {', '.join(MODELS)}"
    if options.nodes == 0:
        return "--like-yours needs a node"
    if options.mig and not number:
        return "--mig cuts GPUs, and there are none: give --gpus MODEL*NUMBER"
    return None


@contextlib.contextmanager
def _opened(options: argparse.Namespace, folder: Path, assets: Assets) -> Generator[Cluster]:
    """The cluster that is asked for."""
    model, number = options.gpus or ("", 8)
    if options.like_yours:
        from gpuassay.engine.like_yours import NODES, like_yours

        nodes = NODES if options.nodes is None else options.nodes
        gpus = (model,) * number if model else ()
        with like_yours(
            directory=folder,
            nodes=nodes,
            gpus=gpus,
            mig=options.mig,
            assets=assets,
            say=say_on_stderr,
            emulated_version=options.emulated_version,
            private=options.private_registries,
        ) as cluster:
            yield cluster
        return
    from gpuassay.cluster.embedded import embedded
    from gpuassay.systems.kueue import component as kueue

    profile = options.profile or "default"
    wanted = options.kueue is not False
    if wanted:
        kueue.profile(profile)  # a wrong name is told before anything is started
    nodes = 1 if options.nodes is None else options.nodes
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=nodes, gpus=number))
        if wanted:
            stack.enter_context(kueue.install(cluster, profile))
        yield cluster


def run(options: argparse.Namespace) -> int:
    """Run the cluster; 0 after Ctrl-C or SIGTERM, 1 when a component died, 2 when it cannot be started."""
    from gpuassay.cluster.errors import ClusterError

    if problem := refused(options):
        print(f"gpuassay up: {problem}", file=sys.stderr)
        return 2
    assets = Assets.parse(options.asset)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started us with SIGINT ignored
    signals.as_interrupt()
    began = time.monotonic()
    try:
        if options.directory is not None:
            _claim(options.directory)
        with contextlib.ExitStack() as stack:
            folder = options.directory or stack.enter_context(scratch("up"))
            cluster = stack.enter_context(_opened(options, folder, assets))
            _describe(cluster, time.monotonic() - began)
            return _until_stopped(cluster)
    except (ClusterError, WaitError, ValueError) as error:
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
