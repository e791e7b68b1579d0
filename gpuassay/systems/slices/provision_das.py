"""DAS, the Dynamic Accelerator Slicer, on somebody's cluster: from manifests that the user brings.

Source: https://github.com/openshift/instaslice-operator (deploy/, and what its operator makes from bindata/assets/).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import olm
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.systems.slices.component.das_cluster import NAMESPACE, POLICY, RUNTIME_CLASS, SCHEDULER
from gpuassay.toolchain import Assets

GROUP = "inference.redhat.com"
CERT_MANAGER = "cert-manager.io"
PACKAGE = "das-operator"
CAPABLE = "nvidia.com/mig.capable"
WEBHOOK = "das-mutating-webhook-configuration"
OPERATORS = ("das-operator", "instaslice-operator")
"""Names of the operator's image, and the last of its names of old."""

PROBE: Manifest = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "gpuassay-probe", "namespace": "default"},
    "spec": {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}]},
}
"""Created with dry-run only: DAS's webhook gives every pod that asks for a slice to DAS's scheduler."""


def detect(objects: Objects) -> Installation | None:
    """DAS by its operator's Deployment, else by its API group."""
    for one in objects.list(objects.kinds[("apps/v1", "Deployment")]):
        for container in dig(one, "spec", "template", "spec", "containers", default=[]):
            repository, tag = image(container)
            if repository.rpartition("/")[2] in OPERATORS or one["metadata"]["name"] == OPERATORS[0]:
                return Installation(tag or "unknown", one["metadata"]["namespace"], how(one))
    if any(version.rpartition("/")[0] == GROUP for version, _ in objects.kinds):
        return Installation("unknown", NAMESPACE, "definitions without an operator that we may see")
    return None


def content(assets: Assets, wish: Wish) -> Content:
    """The user's manifests, and the object that starts the operator's work where they lack it.

    Raises:
        ClusterError: there are none, they are not DAS's, or nothing would give its webhook a certificate.
    """
    del assets
    if not wish.source:
        raise ClusterError(
            "DAS can only be brought: --das-source FOLDER (gpuassay provision: --source das=FOLDER), FOLDER with its "
            "manifests, as in deploy/ of its sources; or, where OLM is, olm[:CHANNEL][@CATALOG]"
        )
    if named := olm.channel_and_catalog(wish.source):
        channel, catalog = named
        starts = Ref(f"{GROUP}/v1alpha1", "DASOperator", NAMESPACE, "cluster")
        package = olm.Package(PACKAGE, NAMESPACE, starts, channel, catalog or "redhat-operators", own_namespace=True)
        olm.refuse_without(package, wish.groups)
        return Content(package=package, objects=package.objects, version=f"channel {channel or 'of its default'}")
    objects = objects_of(wish.source)
    if not any(one["kind"] == "Deployment" for one in objects) or not any(_defines(one) for one in objects):
        raise ClusterError(
            f"{wish.source} does not hold DAS: among its manifests are a Deployment of the operator and definitions of "
            f"{GROUP}"
        )
    certified = any(one["kind"] == "Secret" and one.get("type") == "kubernetes.io/tls" for one in objects)
    if CERT_MANAGER not in wish.groups and not certified:
        raise ClusterError(
            "DAS's webhook would have no certificate: install cert-manager, or put a Secret of type kubernetes.io/tls "
            f"among the manifests in {wish.source}"
        )
    started = any(one["kind"] == "DASOperator" for one in objects)
    return Content(objects=objects if started else [*objects, _operator()])


def _defines(one: Manifest) -> bool:
    return one["kind"] == "CustomResourceDefinition" and dig(one, "spec", "group") == GROUP


def _operator() -> Manifest:
    return {
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "DASOperator",
        "metadata": {"name": "cluster", "namespace": NAMESPACE}, "spec": {"managementState": "Managed"},
    }  # fmt: skip


def _list(objects: Objects, version: str, kind: str) -> list[Manifest]:
    served = objects.kinds.get((version, kind))
    return objects.list(served) if served else []


def lacking(objects: Objects) -> Sequence[str]:
    """What DAS waits for without a word, or refuses pods for."""
    lines: list[str] = []
    policies = [str(one["metadata"]["name"]) for one in _list(objects, "nvidia.com/v1", "ClusterPolicy")]
    if POLICY not in policies:
        there = f"the one that is there is called {policies[0]}" if policies else "install NVIDIA's GPU Operator"
        lines.append(f"it waits for a ClusterPolicy called {POLICY}: {there}")
    classes = [one["metadata"]["name"] for one in _list(objects, "node.k8s.io/v1", "RuntimeClass")]
    if RUNTIME_CLASS not in classes:
        lines.append(f"it needs RuntimeClass {RUNTIME_CLASS}, which the GPU Operator makes: there is none")
    nodes = _list(objects, "v1", "Node")
    if not any(_capable(one) for one in nodes):
        lines.append(f"it uses nodes with the label {CAPABLE}=true, which GPU Feature Discovery writes: there is none")
    return lines


def _capable(node: Manifest) -> bool:
    return dig(node, "metadata", "labels", default={}).get(CAPABLE) == "true"


def problem(api: Api) -> str:
    """Why no slice can be had: its webhook has to take pods, and every node to tell of its GPUs."""
    try:
        told = api.request("post", "/api/v1/namespaces/default/pods", PROBE, query={"dryRun": "All"})
        found: list[Manifest] = json.loads(api.raw(f"/apis/{GROUP}/v1alpha1/nodeaccelerators"))["items"]
    except ApiRefused as refused:
        return refused.message
    except ClusterError as error:
        return str(error)
    if dig(json.loads(told), "spec", "schedulerName") != SCHEDULER:
        return f"its webhook does not give pods that ask for slices to {SCHEDULER}"
    known = {one["metadata"]["name"] for one in found}
    without = [one["metadata"]["name"] for one in api.list("Node") if _capable(one)]
    without = [name for name in without if name not in known]
    return f"no NodeAccelerator of {', '.join(without[:5])}" if without else ""


def in_use(objects: Objects) -> Sequence[Ref]:
    """Slices that pods hold."""
    return [Ref.of(one) for one in _list(objects, f"{GROUP}/v1alpha1", "AllocationClaim")]


def made(objects: Objects) -> Sequence[Ref]:
    """What its operator makes outside of its namespace: the webhook's configuration, and its scheduler's rights."""
    rights = [("rbac.authorization.k8s.io/v1", kind) for kind in ("ClusterRole", "ClusterRoleBinding")]
    found = [one for version, kind in rights for one in _list(objects, version, kind)]
    hooks = _list(objects, "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
    return [Ref.of(one) for one in hooks if one["metadata"]["name"] == WEBHOOK] + [
        Ref.of(one) for one in found if str(one["metadata"]["name"]).startswith(SCHEDULER)
    ]


DAS = Provided(
    name="das", title="DAS", namespace=NAMESPACE,
    detect=detect, content=content, problem=problem, in_use=in_use, made=made, lacking=lacking, group=GROUP,
    after=frozenset({"gpu-operator"}), excludes=frozenset({"device-plugin", "dra-driver"}),
    rights=(
        Right("", "pods", "create"), Right("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "delete"),
        Right("rbac.authorization.k8s.io", "clusterroles", "delete"),
        Right("rbac.authorization.k8s.io", "clusterrolebindings", "delete"),
    ),
)  # fmt: skip
