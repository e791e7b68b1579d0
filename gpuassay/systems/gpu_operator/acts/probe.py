"""Pods that list the GPUs they were given, on nodes of somebody's cluster that the MIG manager has cut.

They run the image of the operator's own device plugin, which the node has: the container runtime adds `nvidia-smi`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.acts.read import changed_by
from gpuassay.systems.gpu_operator.judge.installed import runtime_class
from gpuassay.systems.gpu_operator.judge.mig_config import cut_nodes
from gpuassay.systems.gpu_operator.judge.objects import GPU, OPERATOR, labels_of, name_of, operand_of
from gpuassay.systems.gpu_operator.judge.offers import resources
from gpuassay.systems.gpu_operator.judge.pods import why_not_ready
from gpuassay.systems.gpu_operator.judge.probes import PROBES, Probe, profile_of

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

SECONDS = 120.0
"""For one pod to be placed and to end; the image is on the node already."""
HOST = "kubernetes.io/hostname"
MOST = 6
"""Pods at most: slices are others' to use."""


def probe(lab: Lab) -> None:
    """Run a pod on each kind of slice that nodes offer, and note what it saw, as `PROBES`."""
    seen = lab.noted(OPERATOR)
    image = _image(lab)
    told: list[Probe] = []
    kinds: set[tuple[str, str]] = set()
    for node in cut_nodes(seen):
        product = labels_of(node).get(f"{GPU}.product", "")
        for resource, count in sorted(resources(node, "allocatable").items()):
            profile = profile_of(resource, product)
            if count and profile and (product, resource) not in kinds and len(kinds) < MOST:
                kinds.add((product, resource))
                told.append(_probe(lab, node, resource, profile, _pod(lab, node, resource, image, runtime_class(seen))))
    lab.note(PROBES, told)


def _image(lab: Lab) -> str:
    """The image of the operator's device plugin; "" where there is none."""
    for one in lab.api.pages("/apis/apps/v1/daemonsets"):
        operand = operand_of(one)
        if operand is not None and operand.deploy == "device-plugin":
            return str(dig(one, "spec", "template", "spec", "containers", 0, "image", default=""))
    return ""


def _pod(lab: Lab, node: Manifest, resource: str, image: str, runtime: str) -> Manifest:
    name = lab.unique(f"probe-{resource.rpartition('/')[2]}".replace(".", "-").replace("+", "-"))
    container = {
        "name": "main", "image": image, "command": ["nvidia-smi", "-L"],
        "env": [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"}],
        "resources": {"limits": {resource: "1"}},
    }  # fmt: skip
    spec: Manifest = {
        "restartPolicy": "Never", "nodeSelector": {HOST: labels_of(node).get(HOST, name_of(node))},
        "tolerations": [{"operator": "Exists"}], "containers": [container],
    }  # fmt: skip
    if runtime:
        spec["runtimeClassName"] = runtime
    metadata = {"name": name, "namespace": lab.namespace, "labels": lab.marks}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _probe(lab: Lab, node: Manifest, resource: str, profile: str, pod: Manifest) -> Probe:
    from gpuassay.cluster.errors import ClusterError

    name: str = pod["metadata"]["name"]
    lab.api.create(pod)  # not by the lab, whose pods get an image of ours

    def phase() -> str:
        return str(dig(lab.get("Pod", name) or {}, "status", "phase", default="Pending"))

    lab.observe(
        lambda: phase() in ("Succeeded", "Failed"), f"{resource} on {name_of(node)} was listed", timeout=SECONDS
    )
    last, ended = lab.get("Pod", name) or {}, phase()
    text = why = ""
    if ended == "Succeeded":
        try:
            text = lab.api.raw(f"/api/v1/namespaces/{lab.namespace}/pods/{name}/log")
        except ClusterError as error:
            ended, why = "Unknown", f"its log cannot be read: {' '.join(str(error).split())}"
    else:
        reason = dig(last, "status", "containerStatuses", 0, "state", "terminated", "reason", default="")
        why = str(reason) or why_not_ready(last)
    lab.delete("Pod", name)
    told = changed_by(lab)({"kind": "Probe", "text": text})
    return Probe(name_of(node), resource, profile, ended, told["text"], why)
