"""Takes a component of ours to another version in its place: what users have made of its kinds stays, and works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision import inventory, rights
from gpuassay.provision.component import Installation, Provided, Wish
from gpuassay.provision.install import (
    Target,
    apply,
    await_working,
    content_of,
    mark,
    on_newest_pods,
    ref_of,
    version_of,
)
from gpuassay.provision.inventory import Inventory
from gpuassay.provision.objects import Objects, Ref
from gpuassay.toolchain.catalogue import release


def upgrade(site: Target, provided: Provided, wish: Wish) -> Installation:
    """Upgrade what is ours, or finish an upgrade that was killed; returns when the new version works.

    What is going to be there is noted before anything changes, so that `gpuassay.provision.remove` finds all of it.

    Raises:
        ClusterError: it is not ours, is not installed that way, is of a newer version, or does not work in time.
    """
    try:
        return _upgrade(site, provided, wish)
    except ClusterError as error:
        raise ClusterError(f"{provided.title} cannot be upgraded: {error}") from None


def _upgrade(site: Target, provided: Provided, wish: Wish) -> Installation:
    api = site.cluster.api
    old = inventory.read(api, provided.name)
    if old is None:
        raise ClusterError("it was not installed by gpuassay")
    objects = Objects(api)
    content, helm, ours, wanted = content_of(site, provided, wish, objects)
    if content.package:
        raise ClusterError("Operator Lifecycle Manager upgrades what it has installed, by its channel")
    if (content.chart.release if content.chart else "") != old.release:
        raise ClusterError(f"it was installed by {old.how}, and would be upgraded by another way")
    version = content.version or version_of(wanted, provided.name)
    refuse_downgrade(old.version, version)
    rights.refuse_without(api, provided, rights.needed(provided, content, wanted, objects))
    refs = [ref_of(one, provided, wanted, objects) for one in wanted]
    noted = amended(old, version, refs, refs[: len(ours)])
    site.say(f"upgrading {provided.title} to {version} ({old.how})")
    inventory.amend(api, noted)
    same_run = replace(site, run=old.run)
    apply(same_run, ours, refs[: len(ours)])
    if helm and content.chart:
        helm.upgrade(content.chart)
    mark(same_run, provided, refs, wish)
    await_working(site, on_newest_pods(provided, refs, objects))
    return Installation(noted.version, noted.namespace, noted.how, noted.run)


def refuse_downgrade(old: str, new: str) -> None:
    """Raise ClusterError where `new` is an older release than `old`; versions that are no releases are not compared."""
    try:
        backwards = release(new) < release(old)
    except ValueError:
        return
    if backwards:
        raise ClusterError(
            f"from {old} to {new} is a downgrade, which is not done in place: --reinstall installs the older one anew"
        )


def amended(old: Inventory, version: str, refs: Sequence[Ref], applied: Sequence[Ref]) -> Inventory:
    """What is noted of an upgrade from its beginning on: what either version makes, in the order of making."""

    def both(one: Iterable[Ref], other: Iterable[Ref]) -> list[Ref]:
        return list({ref.key: ref for ref in (*one, *other)}.values())

    return replace(old, version=version, refs=both(old.refs, refs), applied=both(old.applied, applied))
