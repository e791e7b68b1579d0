"""Puts Kueue on a cluster of ours: CRDs, webhooks that point to this machine, and the manager as a child process."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.component import manifests
from gpuassay.systems.kueue.component.certificates import WebhookCertificates, make_webhook_certificates
from gpuassay.systems.kueue.component.manager import NAME, Kueue, Release
from gpuassay.systems.kueue.component.profiles import NAMESPACE, Profile, profile
from gpuassay.toolchain import Assets, cache
from gpuassay.waiting import wait

MODULE = "sigs.k8s.io/kueue"
OTHER_CRDS = {
    "jobset.x-k8s.io/jobset": ("sigs.k8s.io/jobset", "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"),
    "leaderworkerset.x-k8s.io/leaderworkerset": (
        "sigs.k8s.io/lws",
        "config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml",
    ),
}
"""Frameworks whose objects Kueue queues: module and file of the CRD. Their controllers are not installed.

Each of these CRDs holds a whole pod template, a second of the API server's time, so a profile gets only those it uses.
"""

EMULATED: Emulated = {
    "what": "JobSet and LeaderWorkerSet controllers",
    "by": "nothing: only their CRDs are installed",
    "means": "Kueue's handling of these objects is real, nobody makes their pods",
}


@contextmanager
def install(
    cluster: Cluster, profile_name: str | Profile = "default", *, tested: Assets | None = None
) -> Generator[Kueue]:
    """Install Kueue for the length of a `with` block; afterwards webhooks and manager are gone, CRDs stay.

    Args:
        cluster: a cluster whose control plane is ours (its webhooks must reach this machine).
        profile_name: the configuration to start with.
        tested: where `Kueue.upgrade` finds the version under test; the cluster's own assets if it is not given.

    Raises:
        ClusterError: not such a cluster, an unknown profile, or Kueue refuses to start.
    """
    chosen = profile(profile_name) if isinstance(profile_name, str) else profile_name
    if base.CONTROL_PLANE not in cluster.capabilities:
        raise ClusterError(f"Kueue as a process needs a control plane on this machine; {cluster.description} has none")
    certificates = make_webhook_certificates(manifests.SERVICE, NAMESPACE)

    def newer() -> Release:
        return _release(cluster, tested or cluster.assets or Assets(), certificates)

    kueue = Kueue(cluster, _release(cluster, cluster.assets or Assets(), certificates), certificates, newer)
    kueue.profile = chosen
    cluster.tell([], [EMULATED])
    cluster.capabilities |= {base.KUEUE}
    cluster.before_stop(kueue.stop)
    try:
        kueue.start()
        yield kueue
    finally:
        kueue.remove()


def _release(cluster: Cluster, assets: Assets, certificates: WebhookCertificates) -> Release:
    """The version that `assets` choose, told to the report."""
    programs = toolchain.programs("kueue", assets)
    module = toolchain.module_dir("kueue", MODULE, assets)
    version = programs.version if programs.version.startswith("v") else module.name.partition("@")[2] or "unknown"
    kustomize = toolchain.programs("kustomize", assets).path("kustomize")
    own = manifests.rendered(module, kustomize, cache.root())
    others = {
        framework: toolchain.module_dir("kueue", path, assets) / file for framework, (path, file) in OTHER_CRDS.items()
    }

    def prepare(port: int | None, frameworks: Collection[str], share: float) -> None:
        files = [file for framework, file in others.items() if framework in frameworks]
        crds = manifests.custom_resources(files, cache.root())
        _apply(cluster, (manifests.localized(own, port, certificates) if port else []) + crds, share)

    cluster.tell([replace(Component.of(programs, NAME), version=version)])
    return Release(version, programs.path(NAME), prepare)


def in_order(objects: list[Manifest], share: float = 1) -> tuple[list[Manifest], list[Manifest], list[Manifest]]:
    """The namespace, webhooks as the last, and all else between, the largest CRDs first: they are the slowest.

    Of all of it, in this order, the first share alone (0 to 1).
    """
    first = [o for o in objects if o["kind"] == "Namespace"]
    last = [o for o in objects if o["kind"] in manifests.WEBHOOKS]
    between = sorted((o for o in objects if o not in first and o not in last), key=lambda o: -len(str(o)))
    left = round(share * len(objects))
    taken: list[list[Manifest]] = []
    for some in (first, between, last):
        taken.append(some[:left])
        left -= len(taken[-1])
    return taken[0], taken[1], taken[2]


def _apply(cluster: Cluster, objects: list[Manifest], share: float) -> None:
    """Apply side by side, in order, and wait until the API server serves the new kinds before webhooks ask for them."""
    api = cluster.api
    first, between, last = in_order(objects, share)
    side_by_side(api.apply, first)
    side_by_side(api.apply, between)
    side_by_side(partial(_wait_served, cluster), [o for o in between if o["kind"] == "CustomResourceDefinition"])
    side_by_side(api.apply, last)


def _wait_served(cluster: Cluster, crd: Manifest) -> None:
    """Wait until a CRD's storage version answers: what "Established" promises, without fetching megabytes of schema."""
    spec = crd["spec"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    path = f"/apis/{spec['group']}/{stored}/{spec['names']['plural']}?limit=1"

    def served() -> bool:
        if death := cluster.component_died():
            raise death
        try:
            cluster.api.raw(path)
        except ApiRefused as e:
            if e.status in (404, 429, 503):
                return False
            raise
        return True

    wait(served, bool, what=f"the API server to serve {crd['metadata']['name']}", timeout=60, delay=0.05)
