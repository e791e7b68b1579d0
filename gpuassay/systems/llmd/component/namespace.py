"""Where an arm stands: its namespace."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from gpuassay.cluster.api import Api
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
