"""A cluster, and what judges must say of it; with the parts of which the clusters here are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuassay.manifest import Manifest
from tests.operator_shapes.build import DRA_DEPLOY, Card, Drivers, Node, Seen, cluster, policy


@dataclass(frozen=True)
class Shape:
    """A cluster, and words of the findings that it must have, by behaviour; no other behaviour may have any.

    Attributes:
        seen: what is read of it.
        red: words of a finding for each behaviour that is red.
        left_out: behaviours that the suite does not ask there, since nothing there can be judged.
        moving: words of what is under way.
    """

    seen: Seen
    red: dict[str, str] = field(default_factory=dict[str, str])
    left_out: tuple[str, ...] = ()
    moving: str = ""


CONFIGS = {
    "all-1g.5gb": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.5gb": 7}}],
    "all-disabled": [{"devices": "all", "mig-enabled": False}],
    "all-balanced": [
        {"device-filter": ["0x20B010DE"], "devices": "all", "mig-enabled": True,
         "mig-devices": {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}},
        {"device-filter": "0x233010DE", "devices": "all", "mig-enabled": True,
         "mig-devices": {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}},
    ],
    "half": [{"devices": [0], "mig-enabled": True, "mig-devices": {"1g.5gb": 7}},
             {"devices": [1], "mig-enabled": False}],
}  # fmt: skip
APPLIED = {"nvidia.com/mig.config.state": "success"}


def applied(config: str) -> dict[str, str]:
    """Labels of a node that the MIG manager has cut."""
    return APPLIED | {"nvidia.com/mig.config": config}


def cut(config: str, cards: Sequence[Card], strategy: str = "mixed", **more: Any) -> Node:
    """A node cut by the MIG manager."""
    return Node(cards=tuple(cards), strategy=strategy, labels=applied(config), **more)


def rhcos(version: str) -> Drivers:
    """The driver's DaemonSet of one RHCOS version under OpenShift's Driver Toolkit."""
    label = "feature.node.kubernetes.io/system-os_release.OSTREE_VERSION"
    return Drivers(f"nvidia-driver-daemonset-{version}", {label: version})


def on_rhcos(name: str, version: str) -> Node:
    """A node of that RHCOS version."""
    return Node(name, labels={"feature.node.kubernetes.io/system-os_release.OSTREE_VERSION": version})


def driver_resource(name: str, version: str, **more: Any) -> Manifest:
    """An NVIDIADriver that is ready."""
    return {"kind": "NVIDIADriver", "metadata": {"name": name}, "spec": {"version": version, **more},
            "status": {"state": "ready"}}  # fmt: skip


BY_RESOURCES = policy(driver={"version": "", "useNvidiaDriverCRD": True})
POOLS = ("a100", "h100")


def pool_of(name: str) -> Drivers:
    """The driver's DaemonSet of one node pool, as an NVIDIADriver makes it."""
    return Drivers(f"nvidia-gpu-driver-ubuntu22.04-{name}", {"pool": name}, ("NVIDIADriver", name))


def in_pool(name: str, driver: str = "580.65.06") -> Node:
    """A node of that pool."""
    return Node(f"gpu-{name}", labels={"pool": name}, driver=driver)


def with_branch(driver: str = "580.65.06") -> Seen:
    """Precompiled drivers of branch 580, for the kernel of the node."""
    kernel = {"feature.node.kubernetes.io/kernel-version.full": "5.15.0-161-generic"}
    told = [policy(driver={"version": "580", "usePrecompiled": True})]
    return cluster(Node(labels=kernel, driver=driver), told=told, drivers=[Drivers(selects=kernel)])


ON_HOSTS = [policy(driver={"enabled": False}, toolkit={"enabled": False})]
WITHOUT_DRIVER = tuple(one for one in Node().deploy if one not in ("driver", "container-toolkit"))
MACHINES = ("sandbox-device-plugin", "sandbox-validator", "vgpu-manager", "vgpu-device-manager")
FOR_MACHINES = {"nvidia.com/gpu.workload.config": "vm-vgpu"}
ON = {"enabled": True}
WITH_MACHINES = policy(sandboxWorkloads=ON, sandboxDevicePlugin=ON, vgpuManager=ON, vgpuDeviceManager=ON)
DRA = Node(deploy=DRA_DEPLOY, plugin=False, discovery=False)
DAS = policy(devicePlugin={"enabled": False})
