"""Where an arm stands: its namespace, and what its cluster tells of it in reports."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.manifest import Manifest


@contextmanager
def namespace(api: Api, name: str, labels: Mapping[str, str]) -> Generator[None]:
    """The namespace, made and deleted if it was not there; its ServiceAccount exists when the block begins."""
    there = api.get("Namespace", name) is not None
    if not there:
        space: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
        api.create(space)
    try:
        # no Pod is admitted without it; the controller that makes it may be slower than we are, or absent
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}})
        yield
    finally:
        if not there:
            api.delete("Namespace", name)


@dataclass(frozen=True)
class _Told:
    """A part of a cluster whose version is known already."""

    component: Component

    def __call__(self) -> Component:
        return self.component


def tell(cluster: Cluster, components: Sequence[Component], emulated: Sequence[Emulated]) -> None:
    """Add what is new to what the cluster tells of itself for reports."""
    cluster.parts += [told for told in map(_Told, components) if told not in cluster.parts]
    cluster.emulated += [one for one in emulated if one not in cluster.emulated]
