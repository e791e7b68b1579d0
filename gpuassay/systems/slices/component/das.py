"""DAS on a real node: its daemonset as a process in the node, its webhook for the pods of one namespace.

The daemonset is not emulated: it cuts and destroys slices through the (fake) NVML. Webhook and daemonset are one each
for every node, so that scenarios side by side do not disturb each other; the scheduler is the cluster's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import requests
import trustme

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.node.real import Node
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import ANSWER_SECONDS, Child, http
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.component import das_cluster
from gpuassay.systems.slices.component.das_cluster import NAMESPACE, SCHEDULER
from gpuassay.systems.slices.component.fake_driver import FakeDriver
from gpuassay.systems.slices.component.program import Part, await_allocatable
from gpuassay.waiting import wait

PREFIX = "mig.das.com/"
"""Of the resources that DAS offers."""
CAPABLE = {"nvidia.com/mig.capable": "true"}
"""Labels of the nodes that DAS uses; GPU feature discovery would set them."""
_READY_SECONDS = 60.0

Change = Callable[[Manifest], Manifest]
"""What a broken system makes of an object that is applied."""


def _unchanged(manifest: Manifest) -> Manifest:
    return manifest


def offered(driver: FakeDriver) -> dict[str, int]:
    """The resources that DAS offers: of every profile its placements on all GPUs, whatever is taken."""
    counts: dict[str, int] = {}
    for model in driver.silicon.models:
        for one in model.profiles:
            name = PREFIX + one.name.replace("+", "-plus-")
            counts[name] = counts.get(name, 0) + len(one.starts)
    return counts


class Webhook:
    """DAS's mutating webhook for the pods of one namespace.

    Attributes:
        child: its process.
        name: of its MutatingWebhookConfiguration.
    """

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        """Nothing is started yet."""
        self._cluster, self._namespace = cluster, namespace
        found = das_cluster.brought(cluster)
        (self._port,) = free_ports(1)
        pki = cluster.directory / "pki"
        self._authority = pki / "ca.crt"
        issuer = trustme.CA.from_pem(self._authority.read_bytes(), (pki / "ca.key").read_bytes())
        leaf = issuer.issue_cert("127.0.0.1", common_name="das-webhook")
        certificate, key = folder / "webhook.crt", folder / "webhook.key"
        certificate.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        key.touch(mode=0o600)
        key.write_bytes(leaf.private_key_pem.bytes())
        self.name = f"das-{namespace}"
        command: list[str | Path] = [
            found.files["das-webhook"], "serve", "--tls", "--tlscert", certificate, "--tlskey", key,
            "--cacert", self._authority, "--listen", "127.0.0.1", "--port", str(self._port),
        ]  # fmt: skip
        log = cluster.directory / "logs" / f"{namespace}-das-webhook.log"
        self.child = Child(cluster, f"{namespace}-das-webhook", log, command, {})
        self._part = das_cluster.component(found, "das-webhook")

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ClusterError: it ends.
            gpuassay.waiting.WaitTimeout: it does not answer.
        """
        self.child.launch()
        session = http()

        def answers() -> bool:
            try:
                where = f"https://127.0.0.1:{self._port}/readyz"
                return session.get(where, verify=str(self._authority), timeout=ANSWER_SECONDS).ok
            except requests.RequestException:
                return False

        self.child.await_ready(answers, what="DAS's webhook to answer", timeout=_READY_SECONDS)

    def configure(self, change: Change = _unchanged) -> None:
        """Have the API server ask it, and wait until that is so: a pod that is only tried out is changed by it."""
        self._cluster.api.apply(change(self.configuration()))
        self._cluster.tell([self._part])
        wait(self.mutates, bool, what="the API server to ask DAS's webhook", timeout=_READY_SECONDS, delay=0.05)

    def mutates(self) -> bool:
        """Whether a pod of the namespace would be changed by it now."""
        container = {"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/mig-1g.5gb": "1"}}}
        pod: Manifest = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried-out", "namespace": self._namespace},
            "spec": {"containers": [container]},
        }  # fmt: skip
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        try:
            return f'"{SCHEDULER}"' in self._cluster.api.request("post", path, pod, query={"dryRun": "All"})
        except ApiRefused:
            return False

    def configuration(self) -> Manifest:
        """Its MutatingWebhookConfiguration: as DAS's own, but for the pods of one namespace."""
        authority = base64.b64encode(self._authority.read_bytes()).decode()
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [
                {
                    "name": "instaslice.redhat.com",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "clientConfig": {"url": f"https://127.0.0.1:{self._port}/mutate-pod", "caBundle": authority},
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
                    "rules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                    ],
                }
            ],
        }

    def withdraw(self) -> None:
        """Take the configuration away first (it refuses all pods once nobody answers), then stop the process."""
        self._cluster.api.delete("MutatingWebhookConfiguration", self.name)
        self.child.stop()


class Das(Part):
    """DAS on one node: the daemonset, with the webhook beside it; a `Partitioner` that cuts on demand.

    Attributes:
        driver: the fake driver that it works on.
        webhook: for the pods of the namespace.
    """

    static = False

    def __init__(self, node: Node, driver: FakeDriver, webhook: Webhook) -> None:
        """Nothing is started yet."""
        found = das_cluster.brought(node.cluster)
        self.driver, self.webhook = driver, webhook
        name = "das-daemonset"
        program = found.files[name], das_cluster.component(found, name)
        arguments = [
            "daemonset", "--kubeconfig", node.cluster.kubeconfig, "--namespace", NAMESPACE,
            "--listen", "127.0.0.1:8443",
        ]  # fmt: skip
        env = {**driver.environment(), "NODE_NAME": node.name, "EMULATED_MODE": "disabled"}
        super().__init__(node, name, program, arguments, env)

    def await_ready(self) -> None:
        """Wait until the node offers every profile.

        Raises:
            ClusterError: it ended meanwhile; its last word is the message.
            gpuassay.waiting.WaitTimeout: it does not come to that.
        """
        await_allocatable(self.node, self.offers(), part=self, timeout=_READY_SECONDS)

    def offers(self) -> dict[str, int]:
        """As `offered`."""
        return offered(self.driver)

    def after_start(self) -> None:
        """What it offers tells."""

    def after_kubelet(self) -> None:
        """What it offers tells."""

    def waits_for_policy(self) -> bool:
        """Whether its latest start has said that the GPU Operator is not ready."""
        self.refuse_death()
        return self._process is not None and any("ClusterPolicy not ready" in one for one in self._process.tail(400))

    def claims(self) -> list[Manifest]:
        """The AllocationClaims of the node, asked of the API server."""
        every = self.node.cluster.api.list("AllocationClaim", NAMESPACE)
        return [one for one in every if dig(one, "spec", "nodename") == self.node.name]


@contextmanager
def das_slicer(
    node: Node, driver: FakeDriver, *, namespace: str, ready: bool = True, change: Change = _unchanged
) -> Generator[Das]:
    """Run DAS for `node`, and for the pods of `namespace`, for the length of a `with` block.

    Args:
        node: a running node, labelled `CAPABLE`.
        driver: the node's fake driver.
        namespace: whose pods the webhook changes.
        ready: wait until the node offers slices.
        change: what a broken system makes of the webhook's configuration.

    Raises:
        ClusterError: the user brought no DAS, or a part ends; its last word is the message.
        gpuassay.toolchain.errors.ToolchainError: the directory of DAS is not complete.
        gpuassay.waiting.WaitTimeout: a part does not become ready.
    """
    das_cluster.install(node.cluster)
    webhook = Webhook(node.cluster, namespace, driver.root.parent)
    part = Das(node, driver, webhook)
    try:
        webhook.start()
        webhook.configure(change)
        part.start()
        if ready:
            part.await_ready()
        yield part
    finally:
        try:
            webhook.withdraw()
        finally:
            part.stop()
            _forget(part)


def _forget(part: Das) -> None:
    """Delete what DAS leaves of a node: claims and the NodeAccelerator."""
    api = part.node.cluster.api
    try:
        for one in part.claims():
            api.delete("AllocationClaim", one["metadata"]["name"], NAMESPACE)
        api.delete("NodeAccelerator", part.node.name, NAMESPACE)
    except ClusterError:
        if part.node.cluster.component_died() is None:
            raise
