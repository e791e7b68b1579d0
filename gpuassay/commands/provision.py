"""`gpuassay provision`: install components on somebody's cluster; they stay until `gpuassay remove`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import text

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers
    from gpuassay.provision.component import Installation, Provided, Wish
    from gpuassay.provision.install import Target
    from gpuassay.provision.objects import Objects
    from gpuassay.provision.plan import Wanted


def cluster_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which cluster is meant."""
    parser.add_argument(
        "--kubeconfig", type=text, metavar="FILE", help="the cluster; several as FILE:FILE (default: $KUBECONFIG)"
    )
    parser.add_argument("--context", type=text, help="context of the kubeconfig (default: its current one)")


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "provision",
        help="install components on a cluster, until gpuassay remove",
        description="Installs what is not there yet and waits until it works. What somebody else has installed is used "
        "as it is. An inventory on the cluster says what was made, so gpuassay remove works from any machine.",
    )
    parser.add_argument("components", nargs="+", type=text, metavar="COMPONENT", help="such as kueue device-plugin")
    cluster_options(parser)
    parser.add_argument("--plan", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument(
        "--rights", action="store_true",
        help="print a ClusterRole that suffices to install, check and remove them, and change nothing",
    )  # fmt: skip
    anew = parser.add_mutually_exclusive_group()
    anew.add_argument(
        "--reinstall", action="store_true", help="what is ours is removed and installed anew; never somebody else's"
    )
    anew.add_argument(
        "--upgrade", action="store_true",
        help="what is ours is taken to the version that is asked for, in its place: what uses it goes on",
    )  # fmt: skip
    parser.add_argument(
        "--source", action="append", default=[], metavar="NAME=SOURCE", type=text,
        help="a folder of manifests, or a chart (folder, archive, URL, OCI reference), for a component",
    )  # fmt: skip
    parser.add_argument(
        "--chart-version", action="append", default=[], metavar="NAME=VERSION", type=text, help="of a chart"
    )
    parser.add_argument(
        "--values", action="append", default=[], metavar="NAME=FILE", type=text, help="values for its chart"
    )
    parser.add_argument("--keep-failed", action="store_true", help="leave what does not come to work, to be looked at")
    parser.add_argument("--mirror", type=text, metavar="PREFIX", help="takes the place of registries in image names")
    parser.add_argument(
        "--pull-secret", type=text, metavar="FILE",
        help="credentials for the images' registries, a file such as ~/.docker/config.json",
    )  # fmt: skip
    parser.add_argument(
        "--asset", action="append", default=[], metavar="NAME=DIR|NAME@VERSION", type=text,
        help="programs that you bring; another version, whose chart is taken",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Install; 0 when everything works, 2 when something cannot be installed (one line says why)."""
    from gpuassay.provision.install import use
    from gpuassay.provision.objects import Objects
    from gpuassay.provision.plan import Wanted, plan
    from gpuassay.provision.registry import component
    from gpuassay.provision.remove import remove
    from gpuassay.provision.upgrade import upgrade

    asked = [component(name) for name in dict.fromkeys(options.components)]
    wishes = _wishes(options, asked)
    wanted = [Wanted(one, wishes[one.name], options.reinstall, options.upgrade) for one in asked]
    with site(options) as at:
        if options.rights:
            _print_rights(at, wanted)
            return 0
        for known, step in plan(wanted, Objects(at.cluster.api), at.assets):
            one = known.provided
            print(f"{one.name}: {step.words}", flush=True)
            if options.plan:
                continue
            if step.remove_first:
                _told(remove(at, one).left_by_upstream, one)
            if step.upgrade:
                print(f"{one.name}: {upgrade(at, one, known.wish)}", flush=True)
            elif step.install:
                print(f"{one.name}: {_installed(at, known, keep=options.keep_failed)}", flush=True)
            else:
                use(at, one)
    return 0


def _installed(at: Target, known: Wanted, *, keep: bool) -> Installation:
    """Install; what cannot be had is taken away again.

    Raises:
        ClusterError: it cannot be had; one line says why, and what has become of that which was begun.
    """
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.provision.install import install
    from gpuassay.waiting import WaitError

    try:
        return install(at, known.provided, known.wish)
    except (ClusterError, WaitError) as error:
        raise ClusterError(f"{error}{_taken_back(at, known.provided, keep=keep)}") from None


def _taken_back(at: Target, one: Provided, *, keep: bool) -> str:
    """The end of a message: what has become of that which was begun."""
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.provision import inventory
    from gpuassay.provision.remove import remove
    from gpuassay.waiting import WaitError

    by_hand = f"; gpuassay remove {one.name} takes away what was begun"
    try:
        noted = inventory.read(at.cluster.api, one.name)
        if noted is None or noted.run != at.run:
            return ""
        if keep:
            return by_hand
        print(f"{one.name}: cannot be had, what was begun is taken away", flush=True)
        left = remove(at, one).differences
    except (ClusterError, WaitError) as another:
        return f"{by_hand}, which failed just now: {another}"
    return f"; left: {left[0]}" if left else ""


def _print_rights(at: Target, wanted: Sequence[Wanted]) -> None:
    import yaml

    from gpuassay.provision import rights
    from gpuassay.provision.install import needed
    from gpuassay.provision.objects import Objects
    from gpuassay.provision.plan import informed

    objects, all_of_it = Objects(at.cluster.api), [one.provided for one in wanted]
    found = [
        right for one in wanted for right in needed(at, one.provided, informed(one.wish, all_of_it, objects))
    ]  # fmt: skip
    print(yaml.safe_dump(rights.role("gpuassay-provision", found), sort_keys=False), end="")


def _told(left: list[str], one: Provided) -> None:
    for line in left:
        print(f"{one.name}: its own uninstall left {line}")


def _wishes(options: argparse.Namespace, wanted: list[Provided]) -> dict[str, Wish]:
    """What the options say of each component.

    Raises:
        ClusterError: an option names a component that is not installed, or a file that there is not.
    """
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.provision.component import Wish

    def of(option: str, given: list[str]) -> list[tuple[str, str]]:
        pairs = [tuple(one.partition("=")[::2]) for one in given]
        for name, value in pairs:
            if name not in {one.name for one in wanted} or not value:
                raise ClusterError(f"{option} {name}={value}: give NAME=VALUE, NAME one of those to be installed")
        return [(name, value) for name, value in pairs]

    sources = dict(of("--source", options.source))
    versions = dict(of("--chart-version", options.chart_version))
    values = of("--values", options.values)
    for _, file in values:
        if not Path(file).expanduser().is_file():
            raise ClusterError(f"--values: there is no file {file}")
    return {
        one.name: Wish(
            sources.get(one.name, ""), versions.get(one.name, ""),
            [Path(file).expanduser() for name, file in values if name == one.name], options.mirror or "",
            Path(options.pull_secret).expanduser() if options.pull_secret else None,
        )
        for one in wanted
    }  # fmt: skip


@contextlib.contextmanager
def site(options: argparse.Namespace) -> Generator[Target]:
    """The cluster that the options name, for one call of a command.

    Raises:
        ClusterError: it cannot be used, or what the block waited for did not happen.
    """
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.cluster.existing import existing, require
    from gpuassay.cluster.patient import PatientApi
    from gpuassay.provision.install import Target
    from gpuassay.record.rundir import new_id
    from gpuassay.scratch import scratch
    from gpuassay.toolchain import Assets
    from gpuassay.waiting import WaitError

    assets = Assets.parse(getattr(options, "asset", []))
    with (
        scratch("provision") as folder,
        existing(
            directory=folder, kubeconfig=require(options.kubeconfig), context=options.context, allow_mutation=True
        ) as cluster,
    ):
        cluster.api = PatientApi(cluster.api)
        try:
            yield Target(cluster, new_id(), folder, assets, lambda text: print(text, flush=True))
        except WaitError as error:
            raise ClusterError(str(error)) from None


def look(options: argparse.Namespace) -> Objects:
    """Read access to the cluster that the options name."""
    from gpuassay.cluster.existing import connect, require
    from gpuassay.provision.objects import Objects

    api, _ = connect(require(options.kubeconfig), options.context)
    return Objects(api)
