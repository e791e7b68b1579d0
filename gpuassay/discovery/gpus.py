"""GPUs of the nodes: their models, their slices, and who offers them.

Read from the labels of GPU feature discovery (`nvidia.com/gpu.product`, `.count`, `.memory`, `nvidia.com/mig.*`;
github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery), from what the kubelets count as allocatable,
and from the ResourceSlices of NVIDIA's DRA driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuassay.discovery.facts import UNKNOWN, GpuNodes
from gpuassay.manifest import Manifest, dig

DRIVER = "gpu.nvidia.com"
"""NVIDIA's DRA driver."""
NVIDIA, DAS = "nvidia.com/", "mig.das.com/"
"""Beginnings of resource names: the device plugin's, the DAS operator's."""
PRESENT = ("nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present",
           "feature.node.kubernetes.io/pci-0302_10de.present", "cloud.google.com/gke-accelerator",
           "k8s.amazonaws.com/accelerator", "kubernetes.azure.com/accelerator")  # fmt: skip
"""Labels of nodes that have a GPU, whether or not anybody offers it."""


GKE_MODEL, GKE_SLICES = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-gpu-partition-size"
"""Labels of GKE's nodes: a GPU's model, and into which MIG slices all of them are divided."""


@dataclass(frozen=True)
class _Offer:
    """What ResourceSlices say of one node."""

    types: tuple[tuple[str, int], ...] = ()
    model: str = ""


def gpus(nodes: Sequence[Manifest], slices: Sequence[Manifest] | None) -> tuple[tuple[GpuNodes, ...], tuple[str, ...]]:
    """Nodes with GPUs, the like ones together, and warnings.

    Args:
        nodes: all nodes.
        slices: all ResourceSlices; None where they may not be read, and then DRA is left open.
    """
    offers = _offers(slices or ())
    alike: dict[GpuNodes, list[str]] = {}
    warnings: list[str] = []
    for node in nodes:
        name = str(node["metadata"]["name"])
        found = _of_node(node, offers.get(name, _Offer()))
        if found is None:
            continue
        alike.setdefault(found, []).append(name)
        if len(found.offered_by) > 1:
            warnings.append(
                f"node {name}: its GPUs are offered by {' and '.join(found.offered_by)} at once, so each can be given "
                "out twice: switch all but one off"
            )
        warnings += [f"node {name}: {text}" for text in _unhealthy(node)]
        if not found.offered_by and slices is not None:
            warnings.append(
                f"node {name} has GPUs that nobody offers: install a device plugin or a DRA driver, or look at "
                "its pods there"
            )
    return tuple(replace(one, nodes=tuple(names)) for one, names in alike.items()), tuple(warnings)


def _unhealthy(node: Manifest) -> list[str]:
    """Resources of which fewer can be given to pods than there are; one of which none can is being withdrawn."""
    there: dict[str, str] = dig(node, "status", "capacity", default={})
    usable: dict[str, str] = dig(node, "status", "allocatable", default={})
    counts = {name: (_number(str(there[name])), _number(str(usable.get(name, "")))) for name in sorted(there)}
    return [
        f"{all_ - healthy} of {all_} {name} are not healthy: its device plugin's log says why"
        for name, (all_, healthy) in counts.items()
        if name.startswith((NVIDIA, DAS)) and all_ and healthy and healthy < all_
    ]


def _of_node(node: Manifest, offer: _Offer) -> GpuNodes | None:
    """What its node says, `nodes` left empty; None where it has no GPU that anybody knows of."""
    labels: dict[str, str] = dig(node, "metadata", "labels", default={})
    counted: dict[str, str] = dig(node, "status", "allocatable", default={})
    there = {name: str(value) for name, value in sorted(counted.items()) if name.startswith((NVIDIA, DAS))}
    offered = {name: value for name, value in there.items() if value != "0"}
    marked = any(labels.get(label, "false") != "false" for label in PRESENT)
    if not offered and not offer.types and not marked:
        return None
    by = [
        *(["device plugin"] if any(name.startswith(NVIDIA) for name in offered) else []),
        *(["DRA"] if offer.types else []),
        *(["DAS"] if any(name.startswith(DAS) for name in offered) else []),
    ]
    return GpuNodes(
        model=labels.get("nvidia.com/gpu.product") or offer.model or labels.get(GKE_MODEL) or UNKNOWN,
        per_node=_per_node(labels, there, offer),
        memory_mib=_number(labels.get("nvidia.com/gpu.memory")), nodes=(), offered_by=tuple(by),
        allocatable=tuple(offered.items()), devices=offer.types, mig=_mig(labels, offered, offer),
    )  # fmt: skip


def _per_node(labels: dict[str, str], there: dict[str, str], offer: _Offer) -> int | None:
    """GPUs of a node: GFD counts slices and replicas too where it is told to, so its word is taken for whole GPUs."""
    product = labels.get("nvidia.com/gpu.product", "")
    if "-MIG-" not in product and "-SHARED" not in product and GKE_SLICES not in labels:
        if (count := _number(labels.get("nvidia.com/gpu.count"))) is not None:
            return count
        if there.get("nvidia.com/gpu", "0") != "0" and not any("/mig-" in name for name in there):
            return _number(there["nvidia.com/gpu"])
    return dict(offer.types).get("gpu")


def _number(word: str | None) -> int | None:
    return int(word) if word is not None and word.isdigit() else None


def _mig(labels: dict[str, str], offered: dict[str, str], offer: _Offer) -> str:
    """Strategy, configuration and state in words, as far as anything says them."""
    if labels.get("nvidia.com/mig.capable") == "false":
        return "the GPUs cannot be sliced"
    slices = any(name.startswith((f"{NVIDIA}mig-", DAS)) for name in offered) or dict(offer.types).get("mig", 0) > 0
    said = ["slices are offered"] if slices or "-MIG-" in labels.get("nvidia.com/gpu.product", "") else []
    told = {"strategy": "strategy", "configuration": "config", "state": "config.state"}
    said += [f"{word} {labels[name]}" for word, label in told.items() if labels.get(name := f"nvidia.com/mig.{label}")]
    if size := labels.get(GKE_SLICES):
        said.append(f"all of it in slices of {size}")
    return ", ".join(said) or UNKNOWN


def _offers(slices: Sequence[Manifest]) -> dict[str, _Offer]:
    """By node; of a pool that is being renewed only the newest generation counts."""
    mine = [one for one in slices if dig(one, "spec", "driver") == DRIVER]
    newest: dict[str, int] = {}
    for one in mine:
        pool = str(dig(one, "spec", "pool", "name", default=""))
        newest[pool] = max(newest.get(pool, 0), int(dig(one, "spec", "pool", "generation", default=0)))
    types: dict[str, Counter[str]] = {}
    models: dict[str, str] = {}
    for one in mine:
        pool = str(dig(one, "spec", "pool", "name", default=""))
        node = str(dig(one, "spec", "nodeName", default=""))
        if not node or int(dig(one, "spec", "pool", "generation", default=0)) != newest[pool]:
            continue
        for device in dig(one, "spec", "devices", default=[]):
            facts: Manifest = device.get("attributes") or dig(device, "basic", "attributes", default={})
            types.setdefault(node, Counter())[_attribute(facts, "type") or UNKNOWN] += 1
            if model := _attribute(facts, "productName"):
                models.setdefault(node, model)
    return {node: _Offer(tuple(sorted(count.items())), models.get(node, "")) for node, count in types.items()}


def _attribute(facts: Manifest, name: str) -> str:
    """An attribute of a device, which may be written with its driver's domain."""
    found = dig(facts, name, "string") or dig(facts, f"{DRIVER}/{name}", "string")
    return str(found or "")
