"""Puts Kueue on somebody's cluster as its users do: upstream's own manifests, the manager as a Deployment."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue.component.installation import MODULE
from gpuassay.systems.kueue.component.manifests import WEBHOOKS, documents
from gpuassay.waiting import WaitTimeout, wait

PROBE: Manifest = {
    "apiVersion": "kueue.x-k8s.io/v1beta2",
    "kind": "ResourceFlavor",
    "metadata": {"name": "gpuassay-probe"},
    "spec": {},
}
"""Created with dry-run only: that the server takes it means that Kueue's webhook has answered."""


@contextmanager
def deployed(cluster: Cluster, image: str, timeout: float = 120) -> Generator[None]:
    """Install Kueue for the length of a `with` block; afterwards everything that was applied is gone.

    Args:
        cluster: a cluster on which cluster-wide configuration may be changed.
        image: the manager's image; its version should be that of the manifests.
        timeout: seconds until Kueue must answer.

    Raises:
        ClusterError: no permission to change the cluster, or Kueue does not answer.
    """
    if base.CLUSTER_WIDE not in cluster.capabilities:
        raise ClusterError("installing Kueue changes the whole cluster: add --allow-cluster-mutation")
    if base.KUEUE in cluster.capabilities:
        raise ClusterError(f"Kueue is already installed on {cluster.name}: leave out --install-kueue")
    objects = manifests(cluster, image)
    try:
        for manifest in _in_order(objects):
            cluster.api.apply(manifest)
        _wait_answers(cluster.api, timeout)
        cluster.capabilities |= {base.KUEUE}
        version = image.rpartition(":")[2]
        cluster.tell([Component("kueue", version, f"installed by us, image {image}")])
        yield
    finally:
        _remove(cluster.api, objects)


def _remove(api: Api, objects: list[Manifest]) -> None:
    """Delete what was applied, webhooks first, and wait until it is gone (a CRD goes after its last object)."""
    there = reversed(_in_order(objects))
    keys = [(one["kind"], name_of(one), dig(one, "metadata", "namespace"), one["apiVersion"]) for one in there]
    for kind, name, namespace, version in keys:
        api.delete(kind, name, namespace, version=version)

    def left() -> list[str]:
        slow = [key for key in keys if key[0] in {"CustomResourceDefinition", "Namespace"}]
        return [f"{kind} {name}" for kind, name, _, version in slow if api.get(kind, name, version=version)]

    wait(left, lambda names: not names, what="Kueue to be gone", timeout=300, delay=0.2)


def manifests(cluster: Cluster, image: str) -> list[Manifest]:
    """Upstream's default overlay with the manager's image replaced."""
    module = toolchain.module_dir("kueue", MODULE, cluster.assets)
    kustomize = toolchain.programs("kustomize", cluster.assets).path("kustomize")
    command = [kustomize, "build", module / "config" / "default"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ClusterError(f"Kueue's manifests in {module} cannot be rendered: {done.stderr.strip()}")
    objects = documents(done.stdout)
    for manifest in objects:
        if manifest["kind"] == "Deployment":
            containers = cast("list[Manifest]", dig(manifest, "spec", "template", "spec", "containers"))
            for container in containers:
                container["image"] = image
    return objects


def _in_order(objects: list[Manifest]) -> list[Manifest]:
    """Namespace and CRDs first, webhooks last: until the manager answers they refuse everybody's jobs."""

    def rank(manifest: Manifest) -> int:
        kinds = ("Namespace", "CustomResourceDefinition")
        if manifest["kind"] in kinds:
            return kinds.index(manifest["kind"])
        return 3 if manifest["kind"] in WEBHOOKS else 2

    return sorted(objects, key=rank)


def _wait_answers(api: Api, timeout: float) -> None:
    """Wait until Kueue's webhook has really answered: a Deployment may call itself available on hollow nodes."""

    def asked() -> str:
        try:
            path = "/apis/kueue.x-k8s.io/v1beta2/resourceflavors"
            api.request("post", path, PROBE, query={"dryRun": "All"})
        except ApiRefused as refused:
            return refused.message
        return ""

    try:
        wait(asked, lambda problem: not problem, what="Kueue's webhook to answer", timeout=timeout, delay=0.5)
    except WaitTimeout as late:
        raise ClusterError(
            f"Kueue was installed but does not answer after {timeout:.0f} s; last: {late.last}. "
            "Does its Deployment run on a real node, with that image?"
        ) from None
