"""A cluster that somebody else runs, through a kubeconfig.

We touch only objects that carry our run label. Whatever changes the cluster for others (nodes, CRDs, webhooks, Kueue's
configuration) needs `allow_mutation`. Reports name such a cluster by its context, so nothing secret is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.config import ConfigException

from gpuassay import labels
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.embedded import EMULATED
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.nodes import STAGES_LABEL
from gpuassay.manifest import Manifest, dig


def _contexts(path: Path) -> tuple[list[str], str | None]:
    """Names of the contexts in a kubeconfig, and the current one.

    Raises:
        ClusterError: it is missing or is no kubeconfig.
    """
    try:
        parsed: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ClusterError(f"kubeconfig {path} does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise ClusterError(f"kubeconfig {path} cannot be read: {' '.join(str(e).split())}") from None
    if not isinstance(parsed, dict) or not dig(parsed, "contexts"):
        raise ClusterError(f"kubeconfig {path} has no contexts: is it a kubeconfig?")
    current = dig(parsed, "current-context")
    return [str(entry["name"]) for entry in dig(parsed, "contexts")], str(current) if current else None


def connect(kubeconfig: Path, context: str | None = None) -> tuple[Api, str]:
    """Access to the cluster of a context, tried out once; also the context's name.

    Raises:
        ClusterError: one line: no such file or context, no answer, no trust, or credentials that are not accepted.
    """
    known, current = _contexts(kubeconfig)
    chosen = context or current
    if chosen is None:
        raise ClusterError(f"kubeconfig {kubeconfig} has no current context: choose one of {', '.join(known)}")
    if chosen not in known:
        raise ClusterError(f"kubeconfig {kubeconfig} has no context {chosen!r}; it has {', '.join(known)}")
    try:
        api = Api.from_kubeconfig(kubeconfig, chosen)
    except ConfigException as e:
        raise ClusterError(f"context {chosen!r} of {kubeconfig} cannot be used: {' '.join(str(e).split())}") from None
    try:
        _ = api.version
        api.raw("/api/v1/namespaces?limit=1")
    except ApiRefused as e:
        api.close()
        if e.status == 401:
            raise ClusterError(
                f"the API server of context {chosen!r} does not accept its credentials (401): "
                "they are expired, or of another cluster"
            ) from None
        raise ClusterError(f"the API server of context {chosen!r} refuses what every suite needs: {e}") from None
    except ClusterError as e:
        api.close()
        raise ClusterError(f"the API server of context {chosen!r} cannot be reached: {_root(e)}") from None
    return api, chosen


def _root(error: BaseException) -> str:
    """The innermost reason of an error, as one line."""
    while (inner := getattr(error, "reason", None) or error.__cause__) and isinstance(inner, BaseException):
        error = inner
    return " ".join(str(error).split())


def _node_capabilities(nodes: list[Manifest]) -> set[str]:
    found: set[str] = set()
    if any(dig(node, "status", "allocatable", labels.GPU, default="0") != "0" for node in nodes):
        found.add(base.GPU_NODES)
    if any(STAGES_LABEL in dig(node, "metadata", "labels", default={}) for node in nodes):
        found.add(base.FAKE_NODES)
    return found


@dataclass(frozen=True)
class Site:
    """What a detector may look at: the API, the nodes as far as we may list them, and whether we may change things."""

    api: Api
    nodes: Sequence[Manifest]
    allow_mutation: bool


@dataclass(frozen=True)
class Detected:
    """What a detector found: capabilities for scenarios, components for reports."""

    capabilities: frozenset[str] = frozenset()
    components: tuple[Component, ...] = ()


Detector = Callable[[Site], Detected]


@contextmanager
def existing(
    *,
    directory: Path,
    kubeconfig: Path,
    context: str | None = None,
    allow_mutation: bool = False,
    detectors: Iterable[Detector] = (),
) -> Generator[Cluster]:
    """Use somebody's cluster for the length of a `with` block.

    Args:
        directory: a folder for our files.
        kubeconfig: the kubeconfig file.
        context: its context; None: the current one.
        allow_mutation: whether cluster-wide configuration may be changed (nodes, CRDs, webhooks).
        detectors: look for systems under test.

    Raises:
        ClusterError: it cannot be used; one line says why.
    """
    path = kubeconfig.expanduser().absolute()
    api, chosen = connect(path, context)
    try:
        try:
            nodes = api.list("Node")
        except ApiRefused:
            nodes = list[Manifest]()  # without the right to list nodes nothing is promised about them
        found = _node_capabilities(nodes)
        if allow_mutation:
            found.add(base.CLUSTER_WIDE)
        detected = [detect(Site(api, nodes, allow_mutation)) for detect in detectors]
        found |= {capability for one in detected for capability in one.capabilities}
        yield Cluster(
            name=chosen, provider="existing", kubeconfig=path, context=chosen, api=api, directory=directory.absolute(),
            capabilities=frozenset(found), components=[part for one in detected for part in one.components],
            emulated=list(EMULATED) if base.FAKE_NODES in found else [],
        )  # fmt: skip
    finally:
        api.close()
