"""Cases of the allocator as Kubernetes has them: ResourceSlices and claims, and what claims hold."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.model.allocator import Given, Id
from gpuassay.systems.slices.model.pools import ALL, Ask, Case, Device, Slice, Want
from gpuassay.workloads import claims as resources

DOMAIN = "pool.gpuassay.io"
"""Of attributes and capacity, whichever driver a device is of."""
COUNTERS = "shared"
"""Name of each pool's counter set."""
_GI = 2**30


def driver(number: int) -> str:
    """Name of a driver; no program of that name runs."""
    return f"driver-{number}.{DOMAIN}"


def device_class(name: str) -> Manifest:
    """A class of all devices of such drivers."""
    selector = {"cel": {"expression": f"device.driver.endsWith('.{DOMAIN}')"}}
    metadata = {"name": name}
    return {"apiVersion": resources.API, "kind": "DeviceClass", "metadata": metadata, "spec": {"selectors": [selector]}}


def slices(case: Case, prefix: str, node: str, other: str) -> list[Manifest]:
    """ResourceSlices of `node`, or `other` where they are elsewhere; pools and objects begin with `prefix`."""
    return [_slice(one, f"{prefix}-{number}", prefix, other if one.elsewhere else node)
            for number, one in enumerate(case.slices)]  # fmt: skip


def _slice(one: Slice, name: str, prefix: str, node: str) -> Manifest:
    pool = {"name": f"{prefix}-{one.pool}", "generation": one.generation, "resourceSliceCount": one.count}
    content: Manifest = {"devices": [_device(device) for device in one.devices]}
    if one.counters:
        content = {"sharedCounters": [{"name": COUNTERS, "counters": _amounts(one.counters)}]}
    return {
        "apiVersion": resources.API,
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {"driver": driver(one.driver), "nodeName": node, "pool": pool, **content},
    }


def _amounts(units: dict[str, int]) -> Manifest:
    return {name: {"value": str(amount)} for name, amount in units.items()}


def _device(one: Device) -> Manifest:
    found: Manifest = {
        "name": one.name,
        "attributes": {f"{DOMAIN}/model": {"string": one.model}, f"{DOMAIN}/numa": {"int": one.numa}},
        "capacity": {f"{DOMAIN}/memory": {"value": f"{one.memory}Gi"}},
    }
    if one.taint:
        found["taints"] = [{"key": f"{DOMAIN}/taint", "value": "set", "effect": one.taint}]
    if one.uses:
        found["consumesCounters"] = [{"counterSet": COUNTERS, "counters": _amounts(one.uses)}]
    if one.multiple:
        found["allowMultipleAllocations"] = True
    return found


def claim(ask: Ask, name: str, namespace: str, device_class: str) -> Manifest:
    """The claim of an ask."""
    made = resources.claim(
        name, namespace, [_request(want, index, device_class) for index, want in enumerate(ask.wants)]
    )
    if ask.alike:
        made["spec"]["devices"]["constraints"] = [{"matchAttribute": f"{DOMAIN}/numa"}]
    return made


def _request(want: Want, index: int, device_class: str) -> Manifest:
    exactly: Manifest = {"deviceClassName": device_class, "allocationMode": "All"}
    if want.count != ALL:
        exactly |= {"allocationMode": "ExactCount", "count": want.count}
    if want.model:
        exactly["selectors"] = [{"cel": {"expression": f"device.attributes['{DOMAIN}'].model == '{want.model}'"}}]
    if want.tolerates:
        exactly["tolerations"] = [{"operator": "Exists"}]
    if want.memory:
        exactly["capacity"] = {"requests": {f"{DOMAIN}/memory": f"{want.memory}Gi"}}
    return {"name": f"r{index}", "exactly": exactly}


def given(claim: Manifest, prefix: str) -> list[Given] | None:
    """What a claim holds; None where it holds nothing."""
    results: list[Manifest] | None = dig(claim, "status", "allocation", "devices", "results")
    return None if results is None else [_given(one, prefix) for one in results]


def _given(one: Manifest, prefix: str) -> Given:
    number = int(str(one["driver"]).removeprefix("driver-").split(".")[0])
    taken = str(dig(one, "consumedCapacity", f"{DOMAIN}/memory", default="0"))
    device = Id(number, str(one["pool"]).removeprefix(f"{prefix}-"), str(one["device"]))
    return Given(int(str(one["request"]).removeprefix("r")), device, _gi(taken))


def _gi(quantity: str) -> int:
    """A quantity of memory in Gi; of what is no whole number of them -1, which is never right."""
    units = {"Gi": 1.0, "Mi": 1 / 1024, "Ki": 1 / 1024**2, "": 1 / _GI}
    unit = next(one for one in units if quantity.endswith(one))
    found = float(quantity.removesuffix(unit)) * units[unit]
    return int(found) if found.is_integer() else -1


def names(prefix: str, asks: Sequence[Ask]) -> list[str]:
    """Names of the claims of a case, and of their pods."""
    return [f"{prefix}-ask-{number}" for number in range(len(asks))]
