"""`gpuassay remove`: take away what was provisioned, by its inventory on the cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import text
from gpuassay.commands.provision import cluster_options, site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuassay.commands import SubParsers
    from gpuassay.provision.changes import Changed
    from gpuassay.provision.install import Target


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "remove",
        help="remove what gpuassay provision, or a killed run, has installed or changed",
        description="Removes components that gpuassay has installed, by name or by run, undoes what a killed run has "
        "changed of others, and compares the cluster with what it was before. Without names: lists what is ours.",
    )
    parser.add_argument(
        "what", nargs="*", type=text, metavar="RUN|COMPONENT", help="such as kueue, or 20260101-120000-ab12"
    )
    cluster_options(parser)
    parser.add_argument(
        "--force", action="store_true", help="remove what is in use; mend what a broken removal has left behind"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Remove; 0 when the cluster is as before, 1 when something differs, 2 when something cannot be removed."""
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.provision import changes, inventory
    from gpuassay.provision.cure import cure
    from gpuassay.provision.objects import Objects
    from gpuassay.provision.registry import component, components
    from gpuassay.provision.remove import remove

    with site(options) as at:
        ours, changed = inventory.read_all(at.cluster.api), changes.read_all(at.cluster.api)
        if not options.what:
            lines = [f"{one.component}: {one.version}, run {one.run}" for one in ours]
            lines += [f"{one.component}: changed by run {one.run}" for one in changed]
            print("\n".join(lines) or "nothing here is ours")
            return 0
        runs = {one.run for one in (*ours, *changed)}
        named = [one.component for one in ours if one.run in options.what]
        undone = _undo(at, [one for one in changed if {one.run, one.component} & set(options.what)])
        for word in options.what:
            if word in runs or (word in undone and inventory.read(at.cluster.api, word) is None):
                continue
            if word not in components():
                raise ClusterError(f"{word} is neither a component nor a run that has installed something here")
            named.append(word)
        different = False
        for name in reversed(dict.fromkeys(named)):
            provided = component(name)
            if options.force and inventory.read(at.cluster.api, name) is None:
                done = cure(provided, Objects(at.cluster.api), at.say)
            else:
                done = remove(at, provided, force=options.force)
            for line in done.left_by_upstream:
                print(f"{name}: its own uninstall left {line}")
            for line in done.helped:
                print(f"{name}: {line}")
            for line in done.differences:
                print(f"{name}: DIFFERENCE: {line}")
            different = different or bool(done.differences)
            print(f"{name} is removed{'' if done.differences else ', the cluster is as before'}", flush=True)
    return 1 if different else 0


def _undo(at: Target, changed: Sequence[Changed]) -> set[str]:
    """Bring back what runs have changed of components, and wait until those that stay work again."""
    from gpuassay.provision import changes
    from gpuassay.provision.install import await_working
    from gpuassay.provision.objects import Objects
    from gpuassay.provision.registry import components

    for one in changed:
        changes.undo(Objects(at.cluster.api), one)
        print(f"{one.component}: what run {one.run} has changed is undone", flush=True)
        if one.component in components():
            await_working(at, components()[one.component])
    return {one.component for one in changed}
