"""The objects of an arm on somebody's cluster, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpuassay.manifest import Manifest

PROGRAM = "gpuassay.io/program"
"""Label of a pod: which program of the arm it is."""
IN_POOL = "gpuassay.io/in-pool"
"""Readiness gate of model servers: a scenario says by it whether a pod is ready, and the kubelet writes it."""
CONFIGURATION = "/etc/arm"
"""Where a program finds its files."""
CHANGED = "gpuassay.io/changed"
"""Annotation that makes a kubelet look at a pod, and so at its files, at once instead of within a minute."""
GRACE_SECONDS = 5


@dataclass(frozen=True)
class Program:
    """One program of an arm, in a pod of its own.

    Attributes:
        name: of the program, and of its Pod or Deployment and Service.
        image: its image; the entrypoint is the image's own.
        ports: on which it listens.
        env: environment; `$(IP)` stands for the pod's address.
        command: instead of the image's entrypoint.
        labels: of the pod.
        annotations: of the pod.
        account: ServiceAccount, "" where it does not ask the API server.
        gate: whether the pod is ready only once a scenario says so.
        mounts: further ConfigMaps, with the folders in which they are found.
        images: images that are mounted as volumes, with their folders.
        scratch: folder from which programs may be run, "" for none.
        lacking: what the cluster lacks where the image cannot be pulled; "": that is an error.
    """

    name: str
    image: str
    ports: Sequence[int]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    account: str = ""
    gate: bool = False
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    scratch: str = ""
    lacking: str = ""


def pod_template(program: Program, arguments: Sequence[str], files: str, labels: Mapping[str, str]) -> Manifest:
    """Metadata and spec of a program's pod; `files`: the ConfigMap that holds its files, "" for none."""
    address = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container: Manifest = {
        "name": "program",
        "image": program.image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(arguments),
        "env": [address, *({"name": name, "value": value} for name, value in program.env.items())],
        "ports": [{"containerPort": port} for port in program.ports],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if program.command:
        container["command"] = list(program.command)
    spec: Manifest = {
        "containers": [container],
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": bool(program.account),
        "enableServiceLinks": False,
    }
    if program.account:
        spec["serviceAccountName"] = program.account
    if program.gate:
        spec["readinessGates"] = [{"conditionType": IN_POOL}]
    volumes = _volumes(program, files)
    if volumes:
        container["volumeMounts"] = [{"name": volume["name"], **mount} for volume, mount in volumes]
        spec["volumes"] = [volume for volume, _ in volumes]
    metadata: Manifest = {"labels": {**labels, **program.labels, PROGRAM: program.name}}
    if program.annotations:
        metadata["annotations"] = dict(program.annotations)
    return {"metadata": metadata, "spec": spec}


def _volumes(program: Program, files: str) -> list[tuple[Manifest, Manifest]]:
    """Volumes of a program's pod, each with its mount."""
    found: list[tuple[Manifest, Manifest]] = []
    for name, at in {**({files: CONFIGURATION} if files else {}), **program.mounts}.items():
        found.append(({"name": name, "configMap": {"name": name}}, {"mountPath": at, "readOnly": True}))
    for number, (image, at) in enumerate(program.images.items()):
        volume = {"name": f"image-{number}", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        found.append((volume, {"mountPath": at, "readOnly": True}))
    if program.scratch:
        found.append(({"name": "scratch", "emptyDir": {}}, {"mountPath": program.scratch}))
    return found


def pod(program: Program, namespace: str, arguments: Sequence[str], files: str, labels: Mapping[str, str]) -> Manifest:
    """A Pod that is not started again when its program ends."""
    made = pod_template(program, arguments, files, labels)
    made["metadata"] |= {"name": program.name, "namespace": namespace}
    made["spec"]["restartPolicy"] = "Never"
    return {"apiVersion": "v1", "kind": "Pod", **made}


def deployment(
    program: Program, namespace: str, arguments: Sequence[str], files: str, labels: Mapping[str, str]
) -> Manifest:
    """A Deployment of one pod; a new pod comes only once the old one is gone."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": program.name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {PROGRAM: program.name}},
            "template": pod_template(program, arguments, files, labels),
        },
    }


def service(program: Program, namespace: str, labels: Mapping[str, str]) -> Manifest:
    """A Service of all of a program's ports, whether it is ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": program.name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "selector": {PROGRAM: program.name},
            "publishNotReadyAddresses": True,
            "ports": [{"name": f"port-{port}", "port": port} for port in program.ports],
        },
    }


def files(name: str, namespace: str, content: Mapping[str, str], labels: Mapping[str, str]) -> Manifest:
    """A ConfigMap with a program's files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "data": dict(content),
    }


def gate(ready: bool) -> Manifest:
    """The status by which a scenario says whether a pod is ready."""
    return {"status": {"conditions": [{"type": IN_POOL, "status": "True" if ready else "False"}]}}
