"""A cluster that somebody else runs, through a kubeconfig.

We touch only objects that carry our run label. Whatever changes the cluster for others (nodes, CRDs, webhooks, Kueue's
configuration) needs `allow_mutation`. Reports name such a cluster by its context, so nothing secret is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpuassay import labels
from gpuassay.access.kubeconfig import absolute, given, members
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.embedded import EMULATED
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotAnswered
from gpuassay.cluster.nodes import STAGES_LABEL
from gpuassay.manifest import Manifest, dig
from gpuassay.secrets import hide_line, learn_kubeconfig

TRIED: tuple[float, float] = (5, 20)
"""Seconds to connect, and to wait for an answer, while the connection is tried."""


def require(option: str | None) -> Path:
    """The kubeconfig of a command's option, or of the environment.

    Raises:
        ClusterError: neither names one.
    """
    found = given(option)
    if found is None:
        raise ClusterError("which cluster? Give --kubeconfig FILE, or set KUBECONFIG")
    return found


def connect(kubeconfig: Path | str, context: str | None = None) -> tuple[Api, str]:
    """Access to the cluster of a context, tried out once; also the context's name.

    Args:
        kubeconfig: a file, or several as in $KUBECONFIG.
        context: its context; None: the current one.

    Raises:
        ClusterError: one line: no such file or context, no answer, no trust, or credentials that are not accepted.
    """
    for file in members(kubeconfig):
        learn_kubeconfig(file)
    api = Api.from_kubeconfig(kubeconfig, context)
    chosen = api.connection.chosen.context
    try:
        _try(api)
    except ApiRefused as e:
        api.close()
        raise ClusterError(_refused(api, chosen, e)) from None
    except ClusterError as e:
        api.close()
        reason = e.reason if isinstance(e, NotAnswered) else e
        raise ClusterError(f"the API server of context {chosen!r} cannot be reached: {reason}") from None
    return api, chosen


def _try(api: Api) -> None:
    """Ask for the version and for what every suite needs."""
    version = api.read("/version", TRIED, again=False)
    if "gitVersion" not in version:
        raise ClusterError("GET /version is not answered by an API server, but by something else: correct server")
    listed = api.read("/api/v1/namespaces?limit=1", TRIED, again=False)
    if listed.get("kind") != "NamespaceList":
        raise ClusterError("GET /api/v1/namespaces is not answered with a list of namespaces: correct server")


def _refused(api: Api, context: str, answer: ApiRefused) -> str:
    """What the server's answer means, and what may be wrong on our side."""
    server, doubt = f"the API server of context {context!r}", api.connection.doubt
    said = hide_line(str(answer))
    if answer.status == 401:
        reason = doubt or "they are expired, or of another cluster"
        return f"{server} does not accept its credentials (401): {reason}"
    if answer.status == 403:
        return f"{server} refuses what every suite needs: {said}{f'; {doubt}' if doubt else ''}"
    if answer.status == 429 or answer.status >= 500:
        return f"{server} cannot answer now ({said}): try again when it is ready"
    if answer.status == 404:
        return f"{server} knows neither its version nor namespaces ({said}): is the path of server complete?"
    if answer.status == 400 and "HTTP request to an HTTPS server" in answer.message:
        return f"{server} cannot be reached: it speaks TLS, its server must begin with https://"
    if answer.status < 400:
        return f"{server} cannot be reached: it {answer.message}; a login page stands in front of it ({answer.status})"
    return f"{server} refuses what every suite needs: {said}"


def _node_capabilities(nodes: list[Manifest]) -> set[str]:
    found: set[str] = set()
    if any(dig(node, "status", "allocatable", labels.GPU, default="0") != "0" for node in nodes):
        found.add(base.GPU_NODES)
    if any(STAGES_LABEL in dig(node, "metadata", "labels", default={}) for node in nodes):
        found.add(base.FAKE_NODES)
    return found


@dataclass(frozen=True)
class Detection:
    """What a detector may look at: the API, the nodes as far as we may list them, and whether we may change things."""

    api: Api
    nodes: Sequence[Manifest]
    allow_mutation: bool


@dataclass(frozen=True)
class Detected:
    """What a detector found: capabilities for scenarios, components for reports."""

    capabilities: frozenset[str] = frozenset()
    components: tuple[Component, ...] = ()


Detector = Callable[[Detection], Detected]


@contextmanager
def existing(
    *,
    directory: Path,
    kubeconfig: Path | str,
    context: str | None = None,
    allow_mutation: bool = False,
    detectors: Iterable[Detector] = (),
) -> Generator[Cluster]:
    """Use somebody's cluster for the length of a `with` block.

    Args:
        directory: a folder for our files.
        kubeconfig: the kubeconfig file, or several as in $KUBECONFIG.
        context: its context; None: the current one.
        allow_mutation: whether cluster-wide configuration may be changed (nodes, CRDs, webhooks).
        detectors: look for systems under test.

    Raises:
        ClusterError: it cannot be used; one line says why.
    """
    path = absolute(kubeconfig)
    api, chosen = connect(path, context)
    try:
        try:
            nodes = api.list("Node")
        except ApiRefused:
            nodes = list[Manifest]()  # without the right to list nodes nothing is promised about them
        found = _node_capabilities(nodes)
        if allow_mutation:
            found.add(base.CLUSTER_WIDE)
        detected = [detect(Detection(api, nodes, allow_mutation)) for detect in detectors]
        found |= {capability for one in detected for capability in one.capabilities}
        yield Cluster(
            name=chosen, provider="existing", kubeconfig=path, context=chosen, api=api, directory=directory.absolute(),
            capabilities=frozenset(found), components=[part for one in detected for part in one.components],
            emulated=list(EMULATED) if base.FAKE_NODES in found else [],
        )  # fmt: skip
    finally:
        api.close()
