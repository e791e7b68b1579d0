"""A node with Kubernetes' example DRA driver, for one scenario: the protocol of claims, without any GPU.

    with slicing_example.opened(lab, devices=2) as site:
        site.pod("a")
        site.observe_running("a")
        site.identify("a")
        site.finish()

Notes are those of sliced nodes (`note_rest`, `identify`), so that the same judges take them: what a slice is there, a
prepared device is here, told by its name instead of a UUID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.pods import NodePods
from gpuassay.systems.slices.judge.observed import claimed_devices
from gpuassay.workloads import claims as resource_slices
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.component.dra import DraDriver

TEMPLATE = "one-device"
"""Template of claims for one device."""

WITNESS = (("env", "GPU_DEVICE_"), ("env", "NVIDIA_"), ("list", "/dev"), ("print", "."))
"""What a container says at its beginning: devices and claims that the driver names, and whatever looks like a GPU."""

_GIVEN = re.compile(r"^GPU_DEVICE_\d+=(\S+)$", re.MULTILINE)
_CLAIM = re.compile(r"^GPU_DEVICE_(\d+)_RESOURCE_CLAIM=(\S+)$", re.MULTILINE)
_GPU = re.compile(r"^(?:NVIDIA_.*|nvidia.*|dri|kfd)$", re.MULTILINE)
_CDI_DEVICE = re.compile(r"\b[0-9a-f-]{36}-(gpu-\d+)")
"""A device of the driver's CDI files: UID of the claim and name of the device."""


class NodeWithDriver(NodePods):
    """What a scenario can do with claims for the driver's devices.

    Attributes:
        part: the driver on the node.
    """

    def __init__(self, lab: Lab, node: Node, part: DraDriver) -> None:
        """Used by `opened`."""
        super().__init__(lab, node)
        self.part = part
        self._wish = [resource_slices.request("device", part.driver)]
        lab.create(resource_slices.claim_template(TEMPLATE, lab.namespace, self._wish))

    def claim(self, name: str) -> str:
        """Create a claim for one device that several pods may use; returns its name."""
        self.lab.create(resource_slices.claim(name, self.lab.namespace, self._wish))
        return name

    def pod(self, name: str, *, claim: str = "") -> None:
        """Create a pod that uses `claim`, or one of its own, says what it was given, and waits."""
        main = containers.container("main", *WITNESS, ("wait",), resources=resource_slices.resources())
        use = resource_slices.uses(claim=claim) if claim else resource_slices.uses(template=TEMPLATE)
        slices.pod(self.lab, name, node=self.node.name, containers=[main], spec=use)

    def identify(self, *names: str) -> None:
        """Note what the pods say they were given, by pod.

        `notes.HELD`: devices of each container; `notes.CLAIMS`: UID of the claim of each device;
        `notes.GPUS_SEEN`: what looks like a GPU.
        """
        for name in names:
            said = self.words(name)
            self.lab.note_under(notes.HELD, name, {"main": sorted(_GIVEN.findall(said))})
            self.lab.note_under(notes.CLAIMS, name, {f"gpu-{one}": uid for one, uid in _CLAIM.findall(said)})
            self.lab.note_under(notes.GPUS_SEEN, name, _GPU.findall(said))

    def note_rest(self, label: str) -> None:
        """Note what exists now, as `notes.REST`: prepared devices, allocations, CDI devices, pods."""
        rest = notes.Rest(
            slices=self._prepared(),
            allocated=[
                notes.Allocation(user, device)
                for claim in self._claims()
                for device in claimed_devices(claim)
                for user in _users(claim) or ["nobody"]
            ],
            cdi=self._cdi_devices(),
            pods=sorted(one["metadata"]["name"] for one in self.lab.objects("Pod")),
        )
        self.lab.note_under(notes.REST, label, rest)

    def users(self, claim: str) -> list[str]:
        """Pods for which a claim is reserved, by name."""
        return _users(self.lab.get("ResourceClaim", claim) or {})

    def _claims(self) -> list[Manifest]:
        return [one for one in self.lab.objects("ResourceClaim") if claimed_devices(one)]

    def _prepared(self) -> list[str]:
        """Devices that the driver's checkpoint says are prepared."""
        from gpuassay.systems.slices.component.example import CHECKPOINT

        content = json.loads(self.node.paths.at(CHECKPOINT).read_text())
        claims: dict[str, list[Manifest]] = dig(content, "v1", "preparedClaims", default={})
        return sorted(one["device_name"] for devices in claims.values() for one in devices)

    def _cdi_devices(self) -> list[str]:
        found = [_CDI_DEVICE.findall(one.read_text()) for one in sorted(self.node.paths.cdi.glob("*"))]
        return sorted(device for devices in found for device in set(devices))

    def finish(self) -> None:
        """Delete all pods, give the driver time to put its devices away, and note what is left, as `end`."""
        self.delete(*(one["metadata"]["name"] for one in self.lab.objects("Pod")))
        self.lab.observe(
            lambda: not (self._prepared() or self._claims() or self._cdi_devices()),
            "no prepared device, claim or CDI device is left",
        )
        self.note_rest("end")

    @contextmanager
    def driver_killed(self) -> Generator[None]:
        """Kill the driver for the length of a `with` block (through the mutant), then start it again."""
        self.part.kill()
        self.lab.mark("driver-killed")
        if self.lab.mutant is not None:
            self.lab.mutant.disturb_node(self.node)
        yield
        self.part.start()
        self.lab.observe(self.part.registered, "the driver is back")


def _users(claim: Manifest) -> list[str]:
    return sorted(one["name"] for one in dig(claim, "status", "reservedFor", default=[]))


@contextmanager
def opened(lab: Lab, *, devices: int) -> Generator[NodeWithDriver]:
    """Open a node with `devices` devices of the example driver for the length of a `with` block.

    Raises:
        gpuassay.cluster.errors.ClusterError: the node or the driver does not start; one line says why.
    """
    from gpuassay.cluster.node.real import real_node
    from gpuassay.systems.slices.component.example import example_driver

    name = f"n-{lab.token}"[:40]
    with real_node(lab.cluster, name, labels=lab.marks) as node, example_driver(node, devices=devices) as part:
        lab.note(notes.SLICER, "dra-example")
        lab.note(notes.NODE, name)
        lab.note(notes.EMULATED, [one["means"] for one in lab.cluster.emulated])
        yield NodeWithDriver(lab, node, part)
