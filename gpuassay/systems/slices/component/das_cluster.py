"""What DAS needs once per cluster: its CRDs, a RuntimeClass, its scheduler; and what its operator would have made.

DAS is a user's (`gpuassay.toolchain.das`). Its operator only makes Deployments of images, so it is not run: its objects
are made here. ClusterPolicy, for whose readiness DAS waits, belongs to NVIDIA's GPU Operator: it is a stub.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from weakref import WeakKeyDictionary

import yaml

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.kinds import kind_of
from gpuassay.cluster.ports import free_ports
from gpuassay.cluster.program import Child
from gpuassay.manifest import Manifest
from gpuassay.toolchain import das
from gpuassay.toolchain.assets import NEVER_BUILT
from gpuassay.waiting import wait

NAMESPACE = "das-operator"
"""Compiled into the daemonset."""
SCHEDULER = "das-scheduler"
RUNTIME_CLASS = "nvidia-legacy"
POLICY = "gpu-cluster-policy"
"""The name of the ClusterPolicy that DAS looks for; the one that GPU Operator has on OpenShift."""
READY_SECONDS = 60.0

EMULATED: tuple[Emulated, ...] = (
    {
        "what": "das-operator and what it deploys",
        "by": "gpuassay, with DAS's own webhook, scheduler and daemonset as processes",
        "means": "DAS's operator is not run; webhook configuration, RuntimeClass and DASOperator are made by the suite",
    },
    {
        "what": "ClusterPolicy of NVIDIA's GPU Operator",
        "by": "a stub with status.state and nothing behind it",
        "means": "DAS is told that the GPU Operator is ready; it is not there",
    },
)

_starting = threading.Lock()
_started: WeakKeyDictionary[Api, Child] = WeakKeyDictionary()


def brought(cluster: Cluster) -> das.Das:
    """The user's DAS.

    Raises:
        ClusterError: there is none.
        gpuassay.toolchain.errors.ToolchainError: its directory is not complete.
    """
    found = das.find(cluster.assets)
    if found is None:
        raise ClusterError(f"DAS is {NEVER_BUILT[das.ASSET]}")
    return found


def component(found: das.Das, program: str) -> Component:
    """A program of DAS, for reports."""
    return Component(program, das.VERSION, found.source, found.sha256[program])


def install(cluster: Cluster) -> Child:
    """Make everything that DAS needs once per cluster and start its scheduler, if that has not been done yet.

    Returns:
        The scheduler; it is stopped before the cluster is.

    Raises:
        ClusterError: something is refused, or the scheduler ends.
        gpuassay.waiting.WaitTimeout: the scheduler does not come to schedule.
    """
    with _starting:
        if (there := _started.get(cluster.api)) is not None:
            return there
        found = brought(cluster)
        _objects(cluster.api, found)
        child = _scheduler(cluster, found)
        cluster.before_stop(child.stop)
        child.launch()
        child.await_ready(
            lambda: "successfully acquired lease" in child.log_text(), what="DAS's scheduler to lead",
            timeout=READY_SECONDS,
        )  # fmt: skip
        cluster.tell([component(found, SCHEDULER)], EMULATED)
        _started[cluster.api] = child
        return child


def runtime_class() -> Manifest:
    """The RuntimeClass that DAS's webhook names; its handler is the node's only one."""
    return {
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": RUNTIME_CLASS}, "handler": "runc",
    }  # fmt: skip


def policy(state: str = "ready") -> Manifest:
    """The stub of GPU Operator's ClusterPolicy, in that state (`ready`, `notReady`)."""
    return {
        "apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": {"name": POLICY},
        "spec": {}, "status": {"state": state},
    }  # fmt: skip


def _policy_definition() -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "ClusterPolicy", "plural": "clusterpolicies", "singular": "clusterpolicy"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterpolicies.nvidia.com"},
        "spec": {"group": "nvidia.com", "scope": "Cluster", "names": names, "versions": [version]},
    }


def _objects(api: Api, found: das.Das) -> None:
    for file in found.crds:
        for definition in yaml.safe_load_all(file.read_text()):
            if definition:
                api.apply(definition)
    api.apply(_policy_definition())
    for kind in ("AllocationClaim", "NodeAccelerator", "DASOperator", "ClusterPolicy"):
        _await_served(api, kind)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api.apply(runtime_class())
    api.apply(policy())
    api.apply(
        {
            "apiVersion": "inference.redhat.com/v1alpha1", "kind": "DASOperator",
            "metadata": {"name": "cluster", "namespace": NAMESPACE}, "spec": {"managementState": "Managed"},
        }
    )  # fmt: skip


def _await_served(api: Api, kind: str) -> None:
    def served() -> bool:
        try:
            api.raw(kind_of(kind).path())
        except ApiRefused:
            return False
        return True

    wait(served, bool, what=f"the API server to serve {kind}", timeout=READY_SECONDS, delay=0.05)


def _scheduler(cluster: Cluster, found: das.Das) -> Child:
    folder = cluster.directory / "das"
    folder.mkdir(exist_ok=True)
    file = folder / "scheduler.json"
    file.write_text(json.dumps(_configuration(cluster), indent=1))
    (port,) = free_ports(1)
    command: list[str | Path] = [
        found.files[SCHEDULER], "--config", file, "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE,
        "--listen", f"127.0.0.1:{port}", "--secure-port", "0", "-v", "4",
    ]  # fmt: skip
    return Child(cluster, SCHEDULER, cluster.directory / "logs" / "das-scheduler.log", command, {})


def _configuration(cluster: Cluster) -> Manifest:
    """KubeSchedulerConfiguration with DAS's plugin, as DAS's operator deploys it; one instance needs no election."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(cluster.kubeconfig),
            "acceptContentTypes": "application/json",
            "contentType": "application/json",
        },
        "profiles": [
            {
                "schedulerName": SCHEDULER,
                "plugins": {"multiPoint": {"enabled": [{"name": "MigAccelerator"}]}},
                "pluginConfig": [{"name": "MigAccelerator", "args": {"namespace": NAMESPACE}}],
            }
        ],
    }
