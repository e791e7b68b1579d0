"""GPUs as the scheduler knows them (dynamic resource allocation), and claims to their slices.

Every place at which a MIG profile may stand is a device that consumes counters of its GPU: one for each memory slice
beneath it, and one of the instances of its profile that a GPU may hold. So no two places that overlap, and never too
many, can be given out together. Sources: KEP-4815 (partitionable devices), Kubernetes 1.36 resource.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuassay.gpus import GpuModel, MigProfile
from gpuassay.manifest import Manifest
from gpuassay.workloads import core

API = "resource.k8s.io/v1"
DRIVER = "mig.gpuassay.io"
"""Of the devices made here; no program of that name runs."""
WHOLE, SLICE = "gpu", "mig"
"""Types of devices: all of a GPU, or a place on it."""
MOST_GPUS = 8
"""Counter sets that a ResourceSlice may hold (ResourceSliceMaxCounterSets)."""

_ATTRIBUTES = f"device.attributes['{DRIVER}']"
_USE = "device"


def published(node: str, gpus: Sequence[GpuModel]) -> list[Manifest]:
    """ResourceSlices of `node`: one of all counters, and one of each GPU's devices in the order of its table.

    The scheduler takes the first device that fits, by the names of ResourceSlices and then by their order in it.

    Raises:
        ValueError: more GPUs than counters of one ResourceSlice can describe.
    """
    if len(gpus) > MOST_GPUS:
        raise ValueError(f"{len(gpus)} GPUs on a node, but a ResourceSlice can hold the counters of {MOST_GPUS}")
    counters = [{"name": _counter_set(gpu), "counters": _counters(model)} for gpu, model in enumerate(gpus)]
    contents: dict[str, Manifest] = {"counters": {"sharedCounters": counters}}
    contents |= {f"gpu-{gpu}": {"devices": _devices(gpu, model)} for gpu, model in enumerate(gpus)}
    pool = {"name": node, "generation": 1, "resourceSliceCount": len(contents)}
    return [
        {
            "apiVersion": API,
            "kind": "ResourceSlice",
            "metadata": {"name": f"{node}-{name}"},
            "spec": {"driver": DRIVER, "nodeName": node, "pool": pool, **content},
        }
        for name, content in contents.items()
    ]


def _counter_set(gpu: int) -> str:
    return f"gpu-{gpu}"


def memory_slice(number: int) -> str:
    """Name of the counter of a memory slice."""
    return f"memory-slice-{number}"


def instances(profile: MigProfile) -> str:
    """Name of the counter of the instances of a profile."""
    return f"instances-of-{_plain(profile)}"


def _plain(profile: MigProfile) -> str:
    """A profile's name as a DNS label."""
    return profile.name.replace(".", "").replace("+", "-")


def _counters(model: GpuModel) -> Manifest:
    amounts = {memory_slice(number): 1 for number in range(model.memory_slices)}
    return _amounts(amounts | {instances(one): one.most for one in model.profiles})


def _amounts(amounts: dict[str, int]) -> Manifest:
    return {name: {"value": str(amount)} for name, amount in amounts.items()}


def _devices(gpu: int, model: GpuModel) -> list[Manifest]:
    every = {memory_slice(number): 1 for number in range(model.memory_slices)}
    found = [_device(gpu, f"gpu-{gpu}", model.memory_mib, every, type=WHOLE)]
    for profile in model.profiles:
        for start in profile.starts:
            taken = {memory_slice(number): 1 for number in range(start, start + profile.size)}
            name = f"gpu-{gpu}-{_plain(profile)}-{start}"
            uses = taken | {instances(profile): 1}
            found.append(
                _device(gpu, name, profile.memory_mib, uses, type=SLICE, profile=profile.name, start=start)
            )  # fmt: skip
    return found


def _device(gpu: int, name: str, memory_mib: int, uses: dict[str, int], **attributes: str | int) -> Manifest:
    told: Manifest = {"gpu": gpu, **attributes}
    return {
        "name": name,
        "attributes": {key: {"int" if isinstance(value, int) else "string": value} for key, value in told.items()},
        "capacity": {"memory": {"value": f"{memory_mib}Mi"}},
        "consumesCounters": [{"counterSet": _counter_set(gpu), "counters": _amounts(uses)}],
    }


# --- what asks for devices -------------------------------------------------------------------------------------------


def device_class(name: str, driver: str = DRIVER) -> Manifest:
    """A DeviceClass of all devices of `driver`."""
    selector = {"cel": {"expression": f"device.driver == '{driver}'"}}
    return {"apiVersion": API, "kind": "DeviceClass", "metadata": {"name": name}, "spec": {"selectors": [selector]}}


def of_profile(profile: str) -> str:
    """Expression (CEL) that selects the places of a MIG profile."""
    return f"{_ATTRIBUTES}.type == '{SLICE}' && {_ATTRIBUTES}.profile == '{profile}'"


def whole_gpu() -> str:
    """Expression that selects whole GPUs."""
    return f"{_ATTRIBUTES}.type == '{WHOLE}'"


def of_memory(least: str, start: int) -> str:
    """Expression that selects places with at least so much memory (a quantity) that begin at a memory slice."""
    memory = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('{least}')) >= 0"
    return f"{_ATTRIBUTES}.type == '{SLICE}' && {_ATTRIBUTES}.start == {start} && {memory}"


def request(name: str, device_class: str, *expressions: str, count: int = 1) -> Manifest:
    """A request of a claim for `count` devices that all `expressions` select."""
    selectors = [{"cel": {"expression": one}} for one in expressions]
    exactly: Manifest = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": count}
    return {"name": name, "exactly": exactly | ({"selectors": selectors} if selectors else {})}


def claim(name: str, namespace: str, requests: Iterable[Manifest]) -> Manifest:
    """A ResourceClaim."""
    spec = {"devices": {"requests": list(requests)}}
    return {
        "apiVersion": API,
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def claim_template(name: str, namespace: str, requests: Iterable[Manifest]) -> Manifest:
    """A ResourceClaimTemplate: every pod that names it gets a claim of its own, which goes with the pod."""
    metadata = {"name": name, "namespace": namespace}
    spec = {"spec": {"devices": {"requests": list(requests)}}}
    return {"apiVersion": API, "kind": "ResourceClaimTemplate", "metadata": metadata, "spec": spec}


def uses(*, claim: str = "", template: str = "") -> Manifest:
    """Fields of a pod's spec by which it uses a claim, or one that is made from a template for it."""
    source = {"resourceClaimName": claim} if claim else {"resourceClaimTemplateName": template}
    return {"resourceClaims": [{"name": _USE, **source}]}


def resources() -> Manifest:
    """Resources of a container that is given what its pod claims."""
    return {"claims": [{"name": _USE}]}


def pod(name: str, namespace: str, claim: str, node: str) -> Manifest:
    """A pod for a fake node that uses `claim`."""
    container = {"name": "main", "image": core.IMAGE, "resources": resources()}
    where = {"nodeSelector": {"kubernetes.io/hostname": node}}
    return core.pod(name, namespace, None, gpus=None, containers=[container], **where, **uses(claim=claim))
