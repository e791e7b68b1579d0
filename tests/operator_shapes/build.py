"""Clusters with a GPU Operator as judges see them: written by us after what upstream's programs leave, no copies.

A node is described by its cards, whole ones and cut ones; labels, resources and metrics follow from them by the rules
of GPU feature discovery, the device plugin and DCGM exporter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.judge.objects import (
    COMPONENT,
    DEPLOY,
    DRIVER,
    OF_GPU_CLUSTER,
    OPERANDS,
    Operand,
    belongs,
    labels_of,
    name_of,
    wanted,
)

NAMESPACE = "gpu-operator"
SETTINGS = ("full", "major", "minor", "revision")
FIELDS = ("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED")
OF_CARDS = ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK")
Seen = dict[str, list[Manifest]]


@dataclass(frozen=True)
class Card:
    """A GPU: `slices` is None for a whole one, else the profiles that stand on it (none: MIG mode, and empty)."""

    slices: tuple[str, ...] | None = None
    model: str = "NVIDIA-A100-SXM4-40GB"


WHOLE = Card()
SEVENTHS = Card(("1g.5gb",) * 7)
BALANCED = Card(("1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"))


@dataclass(frozen=True)
class Node:
    """A node with GPUs.

    Attributes:
        name: of it.
        cards: its GPUs.
        strategy: for slices; "" where none is configured.
        replicas: in how many shares each whole GPU is offered.
        renamed: whether shares have a name of their own.
        driver: its driver's version.
        deploy: what belongs on it; by default all that a ClusterPolicy wants for containers.
        labels: more labels.
        plugin: whether the device plugin offers the GPUs.
        discovery: whether GPU feature discovery labels the node.
        up: whether the node itself is Ready.
    """

    name: str = "gpu-a"
    cards: tuple[Card, ...] = (WHOLE,) * 8
    strategy: str = ""
    replicas: int = 1
    renamed: bool = False
    driver: str = "580.65.06"
    deploy: tuple[str, ...] = tuple(one.deploy for one in OPERANDS)
    labels: dict[str, str] = field(default_factory=dict[str, str])
    plugin: bool = True
    discovery: bool = True
    up: bool = True

    @property
    def whole(self) -> int:
        """Cards that are not cut."""
        return sum(card.slices is None for card in self.cards)

    @property
    def profiles(self) -> Counter[str]:
        """Slices by profile."""
        return Counter(profile for card in self.cards for profile in card.slices or ())

    @property
    def _names(self) -> dict[str, int]:
        """Slices by their profile as resources and labels spell it."""
        return {profile.replace("+", "."): number for profile, number in self.profiles.items()}

    def manifest(self) -> Manifest:
        """As the API has it."""
        labels = {f"{DEPLOY}{one}": "true" for one in self.deploy}
        labels |= {"nvidia.com/gpu.present": "true", "feature.node.kubernetes.io/pci-10de.present": "true"}
        labels |= (self._discovered() if self.discovery else {}) | self.labels
        offered = self._offered() if self.plugin else {}
        told = {name: str(count) for name, count in offered.items()} | {"cpu": "96", "pods": "110"}
        conditions = [{"type": "Ready", "status": "True" if self.up else "Unknown"}]
        status = {"capacity": told, "allocatable": dict(told), "conditions": conditions}
        return {"kind": "Node", "metadata": {"name": self.name, "labels": labels}, "spec": {}, "status": status}

    def _discovered(self) -> dict[str, str]:
        """Labels of GPU feature discovery."""
        product, count, replicas = self.cards[0].model, len(self.cards), self.replicas if self.whole else 0
        if self.strategy == "single" and not self.whole and len(self.profiles) == 1:
            (profile,) = self.profiles
            product, count, replicas = f"{product}-MIG-{profile}", self.profiles[profile], 1
        elif replicas > 1 and not self.renamed:
            product += "-SHARED"
        found = {"gpu.product": product, "gpu.count": str(count), "gpu.replicas": str(replicas)}
        parts = [self.driver, *self.driver.split(".")]
        found |= {f"cuda.driver-version.{key}": value for key, value in zip(SETTINGS, parts, strict=True)}
        runtime = zip(("full", "major", "minor"), ("13.0", "13", "0"), strict=True)
        found |= {f"cuda.runtime-version.{key}": value for key, value in runtime}
        if self.strategy:
            found |= {"mig.strategy": self.strategy, "mig.capable": "true"}
        if self.strategy == "mixed":
            for profile, number in self._names.items():
                found |= {f"mig-{profile}.count": str(number), f"mig-{profile}.replicas": "1",
                          f"mig-{profile}.slices.gi": profile.split("g")[0]}  # fmt: skip
        return {f"nvidia.com/{key}": value for key, value in found.items()}

    def _offered(self) -> dict[str, int]:
        """Resources of the device plugin; a name that is given up stays with nothing under it."""
        if self.strategy == "single" and not self.whole:
            return {"nvidia.com/gpu": sum(self.profiles.values())}
        slices = self.strategy in ("mixed", "single")
        whole = (self.whole if slices else len(self.cards)) * self.replicas
        found = {"nvidia.com/gpu": 0, "nvidia.com/gpu.shared": whole} if self.renamed else {"nvidia.com/gpu": whole}
        if self.strategy == "mixed":
            found |= {f"nvidia.com/mig-{profile}": number for profile, number in self._names.items()}
        return found

    def page(self) -> str:
        """What DCGM exporter answers there."""
        lines: list[str] = []
        for number, card in enumerate(self.cards):
            own = f'gpu="{number}",UUID="GPU-{self.name}-{number}",modelName="{card.model}"'
            fields = (*OF_CARDS, *(() if card.slices else FIELDS), *(("DCGM_FI_DEV_GPU_UTIL",) * (card.slices is None)))
            lines += [f"{one}{{{own}}} 1" for one in fields]
            for instance, profile in enumerate(card.slices or (), 1):
                part = f'{own},GPU_I_PROFILE="{profile}",GPU_I_ID="{instance}"'
                lines += [f"{one}{{{part}}} 1" for one in FIELDS]
        return "\n".join(lines)


def policy(state: str = "ready", /, **spec: Any) -> Manifest:
    """A ClusterPolicy; by default it installs drivers of the nodes' version."""
    driver = {"enabled": True, "version": "580.65.06"} | spec.pop("driver", {})
    return {
        "kind": "ClusterPolicy", "metadata": {"name": "cluster-policy"},
        "spec": {"driver": driver, "dcgm": {"enabled": False}, **spec}, "status": {"state": state},
    }  # fmt: skip


@dataclass(frozen=True)
class Drivers:
    """How a driver's DaemonSet of some nodes looks: its label `app`, what it selects besides, and whose it is."""

    app: str = DRIVER.app
    selects: dict[str, str] = field(default_factory=dict[str, str])
    owner: tuple[str, str] = ("ClusterPolicy", "cluster-policy")


def cluster(
    *nodes: Node,
    told: Sequence[Manifest] | None = None,
    drivers: Sequence[Drivers] = (Drivers(),),
    configs: dict[str, Any] | None = None,
    slices: Sequence[Manifest] = (),
) -> Seen:
    """What a scenario would read of a cluster on which everything that is wanted stands."""
    objects = list(told if told is not None else [policy()])
    seen: Seen = {kind: [one for one in objects if one["kind"] == kind] for kind in CONFIGURED}
    seen |= {"Node": [one.manifest() for one in nodes], "ResourceSlice": list(slices), "Since": []}
    classes = ("nvidia", "nvidia-cdi", "nvidia-legacy") if seen["ClusterPolicy"] else ()
    seen["RuntimeClass"] = [{"kind": "RuntimeClass", "metadata": {"name": one}, "handler": one} for one in classes]
    seen |= {"DaemonSet": [], "ControllerRevision": [], "Pod": []}
    for operand in wanted(seen):
        owner = ("ClusterPolicy", "cluster-policy") if seen["ClusterPolicy"] else ("GPUCluster", "gpu-cluster")
        for form in drivers if operand is DRIVER else (Drivers(operand.app, owner=owner),):
            _deploy(seen, operand, form)
    exporters = {str(one["spec"]["nodeName"]) for one in seen["Pod"] if "dcgm-exporter" in name_of(one)}
    pages = {one.name: one.page() for one in nodes if one.name in exporters}
    seen["Metrics"] = [{"kind": "Metrics", "node": at, "text": text, "error": ""} for at, text in pages.items()]
    if configs is not None:
        seen["MigConfig"] = [{"kind": "MigConfig", "name": "default-mig-parted-config", "configs": configs}]
    return seen


CONFIGURED = ("ClusterPolicy", "NVIDIADriver", "GPUCluster")


def _deploy(seen: Seen, operand: Operand, form: Drivers) -> None:
    """A DaemonSet with its revisions, and ready pods of the newest on the nodes that it selects."""
    chosen = {f"{DEPLOY}{operand.deploy}": "true"} | form.selects | ({operand.also: "true"} if operand.also else {})
    here = [one for one in seen["Node"] if chosen.items() <= labels_of(one).items()]
    if not any(belongs(operand, one) for one in seen["Node"]):
        return
    labels = {"app": form.app} | ({COMPONENT: "nvidia-driver"} if operand is DRIVER else {})
    kind, owner = form.owner
    template = {"spec": {"nodeSelector": chosen}}
    count = len(here)
    seen["DaemonSet"].append({
        "kind": "DaemonSet",
        "metadata": {"name": form.app, "namespace": NAMESPACE, "labels": labels, "generation": 2,
                     "ownerReferences": [{"kind": kind, "name": owner, "controller": True}]},
        "spec": {"template": template},
        "status": {"observedGeneration": 2, "desiredNumberScheduled": count, "updatedNumberScheduled": count},
    })  # fmt: skip
    mine = [{"kind": "DaemonSet", "name": form.app, "controller": True}]
    for number in (1, 2):
        seen["ControllerRevision"].append({
            "kind": "ControllerRevision", "revision": number,
            "metadata": {"name": f"{form.app}-{number}", "namespace": NAMESPACE, "ownerReferences": mine,
                         "labels": {"controller-revision-hash": f"r{number}"}},
        })  # fmt: skip
    for node in here:
        seen["Pod"].append({
            "kind": "Pod",
            "metadata": {"name": f"{form.app}-{name_of(node)}", "namespace": NAMESPACE, "ownerReferences": mine,
                         "labels": labels | {"controller-revision-hash": "r2"}},
            "spec": {"nodeName": name_of(node)},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                       "containerStatuses": [{"name": "main", "ready": True, "restartCount": 0}]},
        })  # fmt: skip


def by_dra(*nodes: str, count: int = 8) -> list[Manifest]:
    """ResourceSlices of NVIDIA's DRA driver with so many GPUs per node."""
    pool = {"generation": 1, "resourceSliceCount": 1}
    devices = [{"name": f"gpu-{number}", "attributes": {"type": {"string": "gpu"}}} for number in range(count)]
    return [
        {"kind": "ResourceSlice", "metadata": {"name": one},
         "spec": {"driver": "gpu.nvidia.com", "nodeName": one, "pool": pool | {"name": one}, "devices": devices}}
        for one in nodes
    ]  # fmt: skip


GPU_CLUSTER = {"kind": "GPUCluster", "metadata": {"name": "gpu-cluster"}, "spec": {}, "status": {"state": "ready"}}
DRA_DEPLOY = tuple(one.deploy for one in OF_GPU_CLUSTER if one.unsaid)
