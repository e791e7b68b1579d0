"""A stand-in: the objects that a GPU Operator would leave on a cluster. No operator runs; tests of judges use it."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.judge.objects import OPERANDS

NAMESPACE = "gpu-operator"
NODES = ("gpu-a", "gpu-b")
COUNT = 8
VERSIONS = {
    "cuda.driver-version.full": "580.65.06",
    "cuda.driver-version.major": "580",
    "cuda.driver-version.minor": "65",
    "cuda.driver-version.revision": "06",
    "cuda.runtime-version.full": "13.0",
    "cuda.runtime-version.major": "13",
    "cuda.runtime-version.minor": "0",
}
METRICS = "\n".join(
    f'{field}{{gpu="{gpu}",UUID="GPU-{gpu + 1}",modelName="NVIDIA A100"}} 1'
    for field in (
        "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK",
        "DCGM_FI_DEV_GPU_UTIL",
    )
    for gpu in range(COUNT)
)  # fmt: skip


def policy(state: str = "ready", version: str = "580.65.06") -> Manifest:
    """A ClusterPolicy in that state that asks for that driver."""
    return {
        "apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy", "labels": {"app.kubernetes.io/version": "v25.10.0"}},
        "spec": {"driver": {"enabled": True, "version": version}}, "status": {"state": state},
    }  # fmt: skip


def policy_definition() -> Manifest:
    """A CustomResourceDefinition under which ClusterPolicies can be stored; without upstream's schema."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "ClusterPolicy", "plural": "clusterpolicies", "singular": "clusterpolicy"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterpolicies.nvidia.com"},
        "spec": {"group": "nvidia.com", "scope": "Cluster", "names": names, "versions": [version]},
    }  # fmt: skip


def node(name: str) -> Manifest:
    """A node with GPUs as node and GPU feature discovery, the operator and the device plugin leave it."""
    resources = {"nvidia.com/gpu": str(COUNT), "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": node_labels()},
        "status": {"capacity": resources, "allocatable": dict(resources)},
    }  # fmt: skip


def runtime_class(name: str) -> Manifest:
    """A RuntimeClass whose handler has its name."""
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name}


def node_labels() -> dict[str, str]:
    """Labels of a node with GPUs, as node and GPU feature discovery and the operator leave them."""
    labels = {"gpu.present": "true", "gpu.count": str(COUNT), "gpu.replicas": "1", **VERSIONS}
    labels |= {f"gpu.deploy.{one.deploy}": "true" for one in OPERANDS}
    return {f"nvidia.com/{key}": value for key, value in labels.items()}


def deployment() -> Manifest:
    """The operator's own Deployment."""
    labels = {"app": "gpu-operator"}
    spec = {
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "main", "image": "nvcr.io/nvidia/gpu-operator:v25.10.0"}],
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "gpu-operator", "namespace": NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }  # fmt: skip


def daemonset(app: str, count: int = len(NODES)) -> Manifest:
    """An operand's DaemonSet with all its pods ready."""
    labels = {"app": app}
    deploy = next(one.deploy for one in OPERANDS if one.app == app)
    spec = {
        "nodeSelector": {f"nvidia.com/gpu.deploy.{deploy}": "true"}, "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "main", "image": "none"}],
    }  # fmt: skip
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": app, "namespace": NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
        "status": {
            "currentNumberScheduled": count, "desiredNumberScheduled": count, "numberReady": count,
            "numberMisscheduled": 0, "updatedNumberScheduled": count,
        },
    }  # fmt: skip


def pod(app: str, where: str) -> Manifest:
    """An operand's ready pod on a node."""
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": f"{app}-{where}", "namespace": NAMESPACE, "labels": {"app": app},
            "ownerReferences": [{"kind": "DaemonSet", "name": app}],
        },
        "spec": {"nodeName": where, "containers": [{"name": "main", "image": "none"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def healthy() -> dict[str, list[Manifest]]:
    """All objects of a healthy GPU Operator by kind, as `note_operator` notes them."""
    apps = [one.app for one in OPERANDS]
    return {
        "ClusterPolicy": [policy()],
        "Node": [node(name) for name in NODES],
        "RuntimeClass": [runtime_class(name) for name in ("nvidia", "nvidia-cdi", "nvidia-legacy")],
        "DaemonSet": [daemonset(app) for app in apps],
        "Pod": [pod(app, where) for app in apps for where in NODES],
        "Metrics": [{"kind": "Metrics", "node": name, "text": METRICS, "error": ""} for name in NODES],
    }
