"""Opens a whole cluster: control plane, nodes that reach each other, proxies, names, a registry on every node."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gpuassay.cluster import images
from gpuassay.cluster.base import Cluster, Emulated
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.images import Blobs, Source
from gpuassay.cluster.kubeconfig import server_of
from gpuassay.cluster.node.files import Whole
from gpuassay.cluster.node.inside import batch
from gpuassay.cluster.node.real import Node, real_node
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.whole import registry
from gpuassay.cluster.whole.dns import Dns
from gpuassay.cluster.whole.proxy import Proxies
from gpuassay.toolchain import Assets

MOST_NODES = 4

EMULATED: Emulated = {
    "what": "registries",
    "by": "one of gpuassay on every node",
    "means": "images have upstream's names and hold upstream's programs, built here; nothing else can be pulled, as on "
    "a site without access to the world",
}


@dataclass(frozen=True)
class Kit:
    """What the nodes of a cluster have besides.

    Attributes:
        labels: of the Node object.
        binds: folders of this machine that are mounted inside, by their paths there.
        shown: those that its containers see as well.
        emulated: what of it is not real, for reports.
    """

    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    binds: Mapping[Path, str] = field(default_factory=dict[Path, str])
    shown: Mapping[Path, str] = field(default_factory=dict[Path, str])
    emulated: tuple[Emulated, ...] = ()


@contextmanager
def whole_cluster(
    *,
    directory: Path,
    nodes: int = 2,
    assets: Assets | None = None,
    sources: Sequence[Source] = (),
    kits: Sequence[Kit] = (),
    emulated_version: str | None = None,
    logins: Mapping[str, str] | None = None,
) -> Generator[Cluster]:
    """Run a whole cluster for the length of a `with` block. Root only.

    Args:
        directory: an empty or new folder for its files.
        nodes: how many, 1 to `MOST_NODES`; they are called node-1, node-2 ...
        assets: folders with programs that are taken instead of built ones, by component.
        sources: images that pods may pull besides CoreDNS.
        kits: what each node has besides, in the order of nodes; fewer are allowed.
        emulated_version: Kubernetes minor version whose API is imitated, such as "1.35".
        logins: private registries that have all images for who logs in (`gpuassay.cluster.whole.logins.logins`).

    Raises:
        ClusterError: it cannot be started; one line says why.
        ToolchainError: a program cannot be had.
        gpuassay.waiting.WaitTimeout: a step took too long.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise ValueError(f"{nodes} nodes: 1 to {MOST_NODES} are possible")
    proxies, dns = Proxies(assets), Dns(assets)
    folder = directory.absolute()
    with ExitStack() as stack:
        control = embedded(
            directory=folder, assets=assets, nodes=0, services=True, emulated_version=emulated_version
        )  # fmt: skip
        cluster = stack.enter_context(control)
        blobs = Blobs(logins=dict(logins or {}))
        for source in (dns.source(), *sources):
            blobs.add(source)
        (folder / "registry").mkdir(exist_ok=True)
        images.save(blobs, folder / "registry" / "images.json")
        url = f"http://127.0.0.1:{registry.PORT}"
        padded = itertools.chain(kits, itertools.repeat(Kit()))
        started = [
            stack.enter_context(
                real_node(cluster, f"node-{number}", labels=kit.labels, binds=kit.binds, whole=Whole(url, kit.shown))
            )
            for number, kit in zip(range(1, nodes + 1), padded, strict=False)
        ]
        for node in started:
            _start_registry(node)
            proxies.start(node)
        _connect(started)
        _publish_api(cluster, started[0])
        dns.install(cluster.api)
        side_by_side(proxies.await_rules, started)
        dns.await_ready(cluster.api)
        cluster.tell([proxies.component(), dns.component()], [EMULATED, *(one for kit in kits for one in kit.emulated)])
        yield cluster


def _start_registry(node: Node) -> None:
    source = node.cluster.directory / "registry" / "images.json"
    node.run("registry", [sys.executable, "-S", "-m", registry.__name__, source, str(registry.PORT)])


def _connect(nodes: Sequence[Node]) -> None:
    """Lay a cable between every two nodes: their pods reach each other without the host, which forwards nothing."""
    for one, other in itertools.combinations(nodes, 2):
        names = {one: f"to-{other.name}", other: f"to-{one.name}"}
        ends = {at: f"{names[at]} netns {at.addresses.pid}" for at in names}
        batch(f"link add {ends[one]} type veth peer {ends[other]}\n")
        for here, there in ((one, other), (other, one)):
            network = there.addresses.node.rsplit(".", 1)[0] + ".0/24"
            here.call("ip", "link", "set", names[here], "up")
            here.call("ip", "route", "add", network, "via", there.addresses.node, "dev", names[here], "onlink")


def _publish_api(cluster: Cluster, node: Node) -> None:
    """Give Service `kubernetes` the address at which pods reach the API server: the first node's."""
    port = urlsplit(server_of(cluster.kubeconfig)).port
    owner = {"kubernetes.io/service-name": "kubernetes", "endpointslice.kubernetes.io/managed-by": "gpuassay"}
    slice_: dict[str, Any] = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": owner},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [node.addresses.node], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    cluster.api.create(slice_)
