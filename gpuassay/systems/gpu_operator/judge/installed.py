"""Whether a cluster's GPU Operator has done its work, judged from what the API tells.

Sources: NVIDIA GPU Operator's documentation (ClusterPolicy, operands, node labels) and DCGM exporter's list of fields.
What must never pass is "all of none": a check that finds nothing to look at is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.record.exposition import PageError, parse_page
from gpuassay.record.notes import Note
from gpuassay.systems.gpu_operator.judge.dcgm import PERCENT, gpu_of, why_blank, why_no_percent

PREFIX = "nvidia.com/"
PRESENT = "nvidia.com/gpu.present"
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Operand:
    """A DaemonSet of the GPU Operator.

    Attributes:
        app: value of the label `app` of its DaemonSet and pods.
        key: field of ClusterPolicy's spec that says whether it is wanted, "" where it always is.
        deploy: it belongs on nodes with the label `nvidia.com/gpu.deploy.<deploy>=true`.
        everywhere: whether there must be such a node; drivers may be on the hosts, and not every GPU can be cut.
    """

    app: str
    key: str
    deploy: str
    everywhere: bool = True


OPERANDS = (
    Operand("nvidia-driver-daemonset", "driver", "driver", everywhere=False),
    Operand("nvidia-container-toolkit-daemonset", "toolkit", "container-toolkit", everywhere=False),
    Operand("nvidia-device-plugin-daemonset", "devicePlugin", "device-plugin"),
    Operand("gpu-feature-discovery", "gfd", "gpu-feature-discovery"),
    Operand("nvidia-dcgm-exporter", "dcgmExporter", "dcgm-exporter"),
    Operand("nvidia-operator-validator", "", "operator-validator"),
    Operand("nvidia-mig-manager", "migManager", "mig-manager", everywhere=False),
)

FIELDS = ("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK")
"""What DCGM exporter tells of every GPU by NVIDIA's default list of counters."""
WHOLE_GPU_FIELDS = ("DCGM_FI_DEV_GPU_UTIL",)
"""What it tells besides of GPUs that are not cut: of slices there is no such number."""
LABELS = ("gpu", "UUID", "modelName")
"""Labels that every sample of a GPU must have: else nobody can tell whose it is."""


OPERATOR = Note("operator", dict[str, list[Manifest]], "objects by kind, and as `Metrics` what DCGM exporters answer")


def facts(seen: Mapping[str, Any], kind: str) -> list[Manifest]:
    """The objects of a kind among what was read."""
    return list(seen.get(kind, ()))


def labels_of(obj: Manifest) -> dict[str, str]:
    """An object's labels."""
    return dig(obj, "metadata", "labels", default={})


def gpu_nodes(seen: Mapping[str, Any]) -> list[Manifest]:
    """The nodes that are labelled as having GPUs."""
    return [one for one in facts(seen, "Node") if labels_of(one).get(PRESENT) == "true"]


def policy_findings(seen: Mapping[str, Any]) -> list[str]:
    """There is one ClusterPolicy and it is ready. Others that are `ignored` do not count."""
    states = {one["metadata"]["name"]: dig(one, "status", "state") for one in facts(seen, "ClusterPolicy")}
    counted = {name: state for name, state in states.items() if state != "ignored"}
    if len(counted) != 1:
        return [f"{len(counted)} ClusterPolicies count, expected one: {', '.join(counted) or 'none'}"]
    ((name, state),) = counted.items()
    return [] if state == "ready" else [f"ClusterPolicy {name} is {state or 'without state'}, expected ready"]


def operand_findings(seen: Mapping[str, Any]) -> list[str]:
    """Every operand that is wanted has a ready pod on every node on which it belongs, and on one at least."""
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    policies = [one for one in facts(seen, "ClusterPolicy") if dig(one, "status", "state") != "ignored"]
    spec: Manifest = dig(policies[0], "spec", default={}) if policies else {}
    found: list[str] = []
    for operand in OPERANDS:
        if operand.key and dig(spec, operand.key, "enabled", default=True) is False:
            continue
        label = f"{PREFIX}gpu.deploy.{operand.deploy}"
        wanted = {one["metadata"]["name"] for one in nodes if labels_of(one).get(label) == "true"}
        if not wanted and operand.everywhere:
            found.append(f"{operand.app} is enabled, but no node has the label {label}=true")
        pods = [one for one in facts(seen, "Pod") if labels_of(one).get("app") == operand.app]
        ready = {str(dig(one, "spec", "nodeName")) for one in pods if _ready(one)}
        found += [f"{operand.app} has no ready pod on node {name}" for name in sorted(wanted - ready)]
        found += _daemonset_findings(seen, operand, len(wanted))
    return found


def _daemonset_findings(seen: Mapping[str, Any], operand: Operand, wanted: int) -> list[str]:
    sets = [one for one in facts(seen, "DaemonSet") if labels_of(one).get("app") == operand.app]
    if wanted and not sets:
        return [f"{operand.app} has no DaemonSet"]
    counts = {key: sum(int(dig(one, "status", key, default=0)) for one in sets) for key in _COUNTS}
    if wanted and set(counts.values()) != {wanted}:
        told = ", ".join(f"{key} {count}" for key, count in counts.items())
        return [f"{operand.app} belongs on {wanted} nodes, its DaemonSet tells {told}"]
    return []


_COUNTS = ("desiredNumberScheduled", "numberReady")


def _ready(pod: Manifest) -> bool:
    conditions: list[Manifest] = dig(pod, "status", "conditions", default=[])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def runtime_class_findings(seen: Mapping[str, Any]) -> list[str]:
    """RuntimeClass `nvidia` exists, and every one of NVIDIA's names the handler of its own name."""
    handlers = {one["metadata"]["name"]: one.get("handler") for one in facts(seen, "RuntimeClass")}
    found = [] if "nvidia" in handlers else ["there is no RuntimeClass nvidia"]
    return found + [
        f"RuntimeClass {name} has handler {handler}"
        for name, handler in sorted(handlers.items())
        if name.split("-")[0] == "nvidia" and handler != name
    ]


def version_findings(seen: Mapping[str, Any]) -> list[str]:
    """On every GPU node labels of driver and CUDA agree with each other, and with ClusterPolicy where it says so."""
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    asked: str = next((str(dig(one, "spec", "driver", "version", default="")) for one in _driving(seen)), "")
    return [f"node {one['metadata']['name']}: {text}" for one in nodes for text in _versions(labels_of(one), asked)]


def _driving(seen: Mapping[str, Any]) -> list[Manifest]:
    """The ClusterPolicies that install drivers themselves."""
    every = facts(seen, "ClusterPolicy")
    return [one for one in every if dig(one, "spec", "driver", "enabled", default=True) is not False]


def _versions(labels: Mapping[str, str], asked: str) -> list[str]:
    found: list[str] = []
    for what, parts, old in (
        ("driver", ("major", "minor", "revision"), ("major", "minor", "rev")),
        ("runtime", ("major", "minor"), ("major", "minor")),
    ):
        stem = f"{PREFIX}cuda.{what}-version"
        full = labels.get(f"{stem}.full", "")
        if not full:
            found.append(f"no label {stem}.full")
            continue
        told = [labels.get(f"{stem}.{part}", "") for part in parts]
        deprecated = [labels.get(f"{PREFIX}cuda.{what}.{part}", "") for part in old]
        for spelling, values in (("", told), ("deprecated ", deprecated)):
            if any(values) and ".".join(one for one in values if one) != full:
                found.append(f"{spelling}{what} version labels give {'.'.join(values)}, the whole is {full}")
    driver = labels.get(f"{PREFIX}cuda.driver-version.full", "")
    if asked and driver and driver != asked.split("-")[0]:
        found.append(f"the driver is {driver}, ClusterPolicy asks for {asked}")
    return found


def capacity_findings(seen: Mapping[str, Any]) -> list[str]:
    """On every GPU node the labels count as many GPUs or slices, times replicas, as the node has capacity for."""
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    found: list[str] = []
    for node in nodes:
        labels, name = labels_of(node), node["metadata"]["name"]
        capacity: dict[str, str] = dig(node, "status", "capacity", default={})
        expected = _counted(labels)
        if not expected:
            found.append(f"node {name}: no label counts GPUs or slices")
        for resource, count in expected.items():
            has = int(capacity.get(resource, capacity.get(f"{resource}.shared", "0")))
            if has != count:
                found.append(f"node {name}: labels count {count} of {resource}, its capacity is {has}")
    return found


def _counted(labels: Mapping[str, str]) -> dict[str, int]:
    """Resources by their `.count` labels, times replicas; slices stand for their GPUs under the strategy mixed."""
    found: dict[str, int] = {}
    for label, value in labels.items():
        resource = label.removesuffix(".count")
        if label.endswith(".count") and (resource == GPU or resource.startswith(f"{PREFIX}mig-")):
            found[resource] = int(value) * max(1, int(labels.get(f"{resource}.replicas", "1")))
    if labels.get(f"{PREFIX}mig.strategy") == "mixed" and labels.get(f"{GPU}.replicas") == "0":
        found.pop(GPU, None)  # all GPUs are in MIG mode
    return found


def metric_findings(seen: Mapping[str, Any]) -> list[str]:
    """On every node where DCGM exporter belongs it tells NVIDIA's fields, with labels that say of which GPU."""
    wanted = [one for one in gpu_nodes(seen) if labels_of(one).get(f"{PREFIX}gpu.deploy.dcgm-exporter") == "true"]
    if not wanted:
        return ["DCGM exporter belongs on no node"]
    told: dict[str, Manifest] = {one["node"]: one for one in facts(seen, "Metrics")}
    found: list[str] = []
    for node in wanted:
        name = node["metadata"]["name"]
        answer = told.get(name, {"error": "no pod"})
        if answer.get("error"):
            found.append(f"DCGM exporter of node {name} tells nothing: {answer['error']}")
            continue
        cut = any(label.startswith(f"{PREFIX}mig-") for label in labels_of(node))
        found += [f"node {name}: {text}" for text in _metrics(answer["text"], cut=cut)]
    return found


def _metrics(text: str, *, cut: bool) -> list[str]:
    try:
        samples = parse_page(text)
    except PageError as error:
        return [f"what DCGM exporter answers cannot be read: {error}"]
    found: list[str] = []
    for field in (*FIELDS, *(() if cut else WHOLE_GPU_FIELDS)):
        mine = [one for one in samples if one.name == field]
        if not mine:
            found.append(f"no sample of {field}")
        missing = sorted({label for one in mine for label in LABELS if not one.labels.get(label)})
        if missing:
            found.append(f"samples of {field} without label {', '.join(missing)}")
        impossible = why_no_percent if field in PERCENT else why_blank
        found += [
            f"{field} of GPU {gpu_of(one.labels) or '?'} has no value: {why}"
            for one in mine
            if (why := impossible(one.value))
        ]
    return found
