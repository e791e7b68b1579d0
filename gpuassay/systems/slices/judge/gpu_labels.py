"""What GPU feature discovery and the device plugin should say of a node's GPUs, computed from what the GPUs are.

Sources: NVIDIA's documentation of the labels of GPU feature discovery and of MIG strategies and time-slicing
(k8s-device-plugin, README and docs/gpu-feature-discovery), and `gpuassay.gpus`. Nothing was taken
from outputs of the programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gpuassay.gpus import GpuModel, MigProfile
from gpuassay.manifest import Manifest, dig

Strategy = Literal["none", "single", "mixed"]

PREFIX = "nvidia.com/"
GPU = "nvidia.com/gpu"

FAMILIES = {(8, 0): "ampere", (9, 0): "hopper", (10, 0): "blackwell"}
"""Architecture names by CUDA compute capability, of the GPUs in `placement_tables`."""


@dataclass(frozen=True)
class Sharing:
    """Time-slicing of one resource.

    Attributes:
        resource: such as `nvidia.com/gpu`.
        replicas: how often each of its devices is offered.
        renamed: whether it is offered as `<resource>.shared`.
    """

    resource: str
    replicas: int
    renamed: bool = False


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a node as they were asked for.

    Attributes:
        model: all are of one.
        count: how many.
        slices: profiles of all slices, GPU by GPU; None where MIG mode is off.
    """

    model: GpuModel
    count: int
    slices: tuple[tuple[str, ...], ...] | None = None

    @property
    def profiles(self) -> dict[str, int]:
        """How many slices of each profile there are."""
        every = [name for one in self.slices or () for name in one]
        return {name: every.count(name) for name in dict.fromkeys(every)}

    @property
    def uniform(self) -> bool:
        """Whether the strategy `single` can stand: every GPU has slices, all of one profile."""
        return self.slices is not None and all(self.slices) and len(self.profiles) == 1


# --- what the node offers -------------------------------------------------------------------------------------------


def resource(profile: str) -> str:
    """The resource of a MIG profile under the strategy `mixed`; an attribute follows a dot instead of a plus sign."""
    return f"{PREFIX}mig-{profile.replace('+', '.')}"


def offers(gpus: Gpus, strategy: Strategy, sharing: Sharing | None = None) -> dict[str, int]:
    """What the device plugin should have the node offer.

    Raises:
        ValueError: `single` on GPUs whose slices differ: the device plugin has to refuse that.
    """
    if gpus.slices is None or strategy == "none":
        plain = {GPU: gpus.count}
    elif strategy == "single":
        if not gpus.uniform:
            raise ValueError("the strategy single needs slices of one profile on every GPU")
        plain = {GPU: sum(gpus.profiles.values())}
    else:
        plain = {resource(name): count for name, count in gpus.profiles.items()}
    if sharing is None or sharing.resource not in plain:
        return plain
    shared = sharing.resource + (".shared" if sharing.renamed else "")
    rest = {name: count for name, count in plain.items() if name != sharing.resource}
    return {**rest, shared: plain[sharing.resource] * sharing.replicas}


def offered_of(node: Manifest) -> dict[str, int]:
    """What a Node object offers of NVIDIA's resources, without what it offers none of."""
    values: dict[str, str] = dig(node, "status", "allocatable", default={})
    return {name: int(count) for name, count in values.items() if name.startswith(PREFIX) and int(count)}


# --- labels ---------------------------------------------------------------------------------------------------------


def version_labels(driver: str, cuda: int) -> dict[str, str]:
    """Labels of the driver (`550.54.15`) and of CUDA as NVML counts it (12040 for 12.4), new and deprecated ones."""
    major, minor, revision = (*driver.split("."), "")[:3]
    cuda_major, cuda_minor = cuda // 1000, cuda % 1000 // 10
    found = {
        "cuda.driver.major": major,
        "cuda.driver.minor": minor,
        "cuda.driver.rev": revision,
        "cuda.driver-version.major": major,
        "cuda.driver-version.minor": minor,
        "cuda.driver-version.revision": revision,
        "cuda.driver-version.full": driver,
        "cuda.runtime.major": cuda_major,
        "cuda.runtime.minor": cuda_minor,
        "cuda.runtime-version.major": cuda_major,
        "cuda.runtime-version.minor": cuda_minor,
        "cuda.runtime-version.full": f"{cuda_major}.{cuda_minor}",
    }
    return {PREFIX + key: str(value) for key, value in found.items()}


def gpu_labels(gpus: Gpus, strategy: Strategy, sharing: Sharing | None = None) -> dict[str, str]:
    """Every label that speaks of GPUs and their slices."""
    model = gpus.model
    found = {f"{PREFIX}mig.capable": "true"}
    if gpus.slices is None:
        found |= _resource_labels(GPU, _joined(model), gpus.count, _of(GPU, sharing))
    else:
        # A GPU in MIG mode cannot be shared as a whole: upstream counts it as having no replicas.
        found |= _resource_labels(GPU, _joined(model), gpus.count, None) | {f"{GPU}.replicas": "0"}
    major, minor = model.capability
    facts = {
        "memory": model.memory_mib, "family": FAMILIES[model.capability], "compute.major": major,
        "compute.minor": minor,
    }  # fmt: skip
    found |= {f"{GPU}.{key}": str(value) for key, value in facts.items()}
    if strategy == "none":
        return found
    found[f"{PREFIX}mig.strategy"] = strategy
    if gpus.slices is None:
        return found
    if strategy == "single":
        return found | (_single_labels(gpus, sharing) if gpus.uniform else _invalid_labels(model))
    for name, count in gpus.profiles.items():
        found |= _slice_labels(resource(name), model, model.profile(name), count, sharing)
    return found


def _single_labels(gpus: Gpus, sharing: Sharing | None) -> dict[str, str]:
    ((name, count),) = gpus.profiles.items()
    return _slice_labels(GPU, gpus.model, gpus.model.profile(name), count, sharing)


def _invalid_labels(model: GpuModel) -> dict[str, str]:
    """What says that the strategy `single` cannot stand."""
    facts = {
        "product": _joined(model, "MIG", "INVALID"),
        "count": 0,
        "replicas": 0,
        "memory": 0,
        "sharing-strategy": "",
    }
    return {f"{GPU}.{key}": str(value) for key, value in facts.items()}


def _slice_labels(
    name: str, model: GpuModel, profile: MigProfile, count: int, sharing: Sharing | None
) -> dict[str, str]:
    product = _joined(model, "MIG", profile.name.replace("+", "."))
    facts = {
        "memory": profile.memory_mib, "multiprocessors": profile.multiprocessors,
        "slices.gi": profile.compute_slices, "slices.ci": profile.compute_slices,
        "engines.copy": profile.copy_engines, "engines.decoder": profile.decoders, "engines.encoder": 0,
        "engines.jpeg": profile.jpeg_engines, "engines.ofa": profile.optical_flow_engines,
    }  # fmt: skip
    base = _resource_labels(name, product, count, _of(name, sharing))
    return base | {f"{name}.{key}": str(value) for key, value in facts.items()}


def _resource_labels(name: str, product: str, count: int, sharing: Sharing | None) -> dict[str, str]:
    if sharing is not None and not sharing.renamed:
        product += "-SHARED"
    facts = {
        "product": product, "count": count, "replicas": sharing.replicas if sharing else 1,
        "sharing-strategy": "time-slicing" if sharing else "none",
    }  # fmt: skip
    return {f"{name}.{key}": str(value) for key, value in facts.items()}


def _of(name: str, sharing: Sharing | None) -> Sharing | None:
    return sharing if sharing is not None and sharing.resource == name else None


def _joined(model: GpuModel, *more: str) -> str:
    return "-".join([*model.product.split(), *more])


# --- judging --------------------------------------------------------------------------------------------------------

ELSEWHERE = ("device-plugin.config", "gpu.machine", "gpu.mode", "mps.capable", "vgpu.present")
"""Labels that speak of something else than GPUs, slices or the driver: left out of the comparison."""


def label_findings(seen: Mapping[str, str], expected: Mapping[str, str], *, parts: Sequence[str] = ("",)) -> list[str]:
    """How NVIDIA's labels on a node differ from the expected ones: missing, wrong, or too many.

    `parts` restricts the comparison to labels that begin so behind `nvidia.com/`.
    """

    def concerned(label: str) -> bool:
        rest = label.removeprefix(PREFIX)
        return label.startswith(PREFIX) and rest not in ELSEWHERE and rest.startswith(tuple(parts))

    return [
        f"{label} is {seen.get(label, 'missing')!r}, expected {expected.get(label, 'no such label')!r}"
        for label in sorted({*seen, *expected})
        if concerned(label) and seen.get(label) != expected.get(label)
    ]
