"""Kueue on somebody's cluster: what is there of it, and how it is installed: upstream's chart, or its manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import olm
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.systems.kueue.component.installation import MODULE
from gpuassay.systems.kueue.component.profiles import NAMESPACE
from gpuassay.toolchain import Assets

GROUP = "kueue.x-k8s.io"
MANAGER = "kueue-controller-manager"
RELEASE = "kueue"

OPERATED = "openshift-kueue-operator"
"""Where Red Hat's build goes."""
STARTS = Ref("kueue.openshift.io/v1", "Kueue", "", "cluster")

PROBE: Manifest = {
    "apiVersion": f"{GROUP}/v1beta2",
    "kind": "ResourceFlavor",
    "metadata": {"name": "gpuassay-probe"},
    "spec": {},
}
"""Created with dry-run only: that the server takes it means that Kueue's webhook has answered."""


def detect(objects: Objects) -> Installation | None:
    """Kueue by its API group; whose manager runs where is looked for among Deployments."""
    if not any(version.rpartition("/")[0] == GROUP for version, _ in objects.kinds):
        return None
    for deployment in objects.list(objects.kinds[("apps/v1", "Deployment")]):
        meta = deployment["metadata"]
        marks: dict[str, str] = meta.get("labels") or {}
        if "kueue" not in str(marks.get("app.kubernetes.io/name", meta["name"])) or "manager" not in meta["name"]:
            continue
        _, tag = image(dig(deployment, "spec", "template", "spec", "containers")[0])
        version = marks.get("app.kubernetes.io/version") or tag
        return Installation(version, meta["namespace"], how(deployment))
    return Installation("unknown", NAMESPACE, "definitions without a manager that we may see")


def content(assets: Assets, wish: Wish) -> Content:
    """Upstream's chart of the version that the suite is for, unmodified, or what the user names."""
    if named := olm.channel_and_catalog(wish.source):
        channel, catalog = named
        package = olm.Package("kueue-operator", OPERATED, STARTS, channel, catalog or "redhat-operators")
        olm.refuse_without(package, wish.groups)
        return Content(package=package, objects=package.objects, version=f"channel {channel or 'of its default'}")
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    source = wish.source or str(toolchain.module_dir("kueue", MODULE, assets) / "charts" / "kueue")
    chart = Chart(source, RELEASE, NAMESPACE, {}, tuple(wish.values), wish.version)
    version = "" if wish.source else assets.component("kueue").version
    return Content(chart=chart, version=version)


def problem(api: Api) -> str:
    """Why Kueue does not work: its webhook has to answer, and to let a pod of a Job pass."""
    try:
        api.request("post", f"/apis/{GROUP}/v1beta2/resourceflavors", PROBE, query={"dryRun": "All"})
    except ApiRefused as refused:
        return refused.message
    except ClusterError as error:
        return str(error)
    return ""


def in_use(objects: Objects) -> Sequence[Ref]:
    """Queues, cohorts and whatever else of its kinds somebody has made; flavors and topologies go with it unseen."""
    kinds = ("ClusterQueue", "LocalQueue", "Workload", "Cohort")
    served = [one for one in objects.kinds.values() if one.version.rpartition("/")[0] == GROUP and one.name in kinds]
    return [Ref.of(one) for kind in served if kind.version in objects.preferred for one in objects.list(kind)]


def lacking(objects: Objects) -> Sequence[str]:
    """Kueue needs a Kubernetes that serves what its manager watches."""
    told = json.loads(objects.api.raw("/version"))
    minor = int("".join(one for one in str(told["minor"]) if one.isdigit()) or 0)
    return () if minor >= 30 else (f"Kueue needs Kubernetes 1.30 or newer, this is {told['gitVersion']}",)


KUEUE = Provided(
    name="kueue", title="Kueue", namespace=NAMESPACE,
    detect=detect, content=content, problem=problem, in_use=in_use, lacking=lacking, group=GROUP, capability=base.KUEUE,
)  # fmt: skip
