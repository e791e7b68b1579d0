"""A node whose GPUs are sliced by DAS, for one scenario: as `gpuassay.systems.slices.acts.node`, with DAS's books."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import msgspec

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.node import SlicedNode
from gpuassay.systems.slices.acts.pods import WITNESS
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.systems.slices.component.das import Das


class DasSite(SlicedNode):
    """What a scenario can do on a node of DAS; `part` is its daemonset."""

    @property
    def das(self) -> Das:
        """DAS on this node."""
        return cast("Das", self.part)

    def claims(self) -> list[Manifest]:
        """The AllocationClaims of the node, as they are now."""
        return self.das.claims()

    def rest(self) -> notes.Rest:
        """As of any slicer; allocations are AllocationClaims, CDI devices the UUIDs that DAS's CDI files name."""
        states = sorted(str(dig(one, "status", "state", default="")) for one in self.claims())
        return msgspec.structs.replace(super().rest(), cdi=self._cdi_devices(), states=states)

    def _booked(self) -> list[notes.Allocation]:
        gpus = self.silicon.gpus
        there = {(gpus[one.gpu], one.start): one.uuids for one in self.silicon.slices()}
        found: list[notes.Allocation] = []
        for one in self.claims():
            spec = one["spec"]
            place = (str(spec.get("gpuUUID", "")), int(dig(spec, "migPlacement", "start", default=-1)))
            uuids = there.get(place) or (f"nothing at {place[0]}:{place[1]}",)
            found.append(notes.Allocation(str(dig(spec, "podRef", "name", default="nobody")), uuids[0]))
        return found

    def _cdi_devices(self) -> list[str]:
        folder = self.node.paths.cdi
        found: list[str] = []
        for file in sorted(folder.glob("*.cdi.json")) if folder.exists() else []:
            try:
                content: Manifest = json.loads(file.read_text())
            except (OSError, ValueError):  # it went, or is just being written
                continue
            devices: list[Manifest] = content.get("devices", [])
            edits = [str(one) for device in devices for one in dig(device, "containerEdits", "env", default=[])]
            named = [one.partition("=")[2] for one in edits if one.startswith("NVIDIA_VISIBLE_DEVICES=")]
            found += [uuid for one in named for uuid in one.split(",")]
        return found

    def observe_accounts(self, label: str) -> None:
        """Nothing is noted: DAS keeps books of another kind."""

    def observe_empty(self) -> None:
        """Note whether neither slices, claims nor CDI devices are left."""
        self.lab.observe(
            lambda: not (self.silicon.slices() or self.claims() or self._cdi_devices()),
            "no slice, claim or CDI device is left",
        )

    @contextmanager
    def slicer_away(self, *, kill: bool) -> Generator[None]:
        """As of any slicer; the kubelet is given time to notice, or it would be asked for what it no longer has."""
        with super().slicer_away(kill=kill):
            self.observe_withdrawn()
            yield

    def offers_all(self) -> bool:
        """Whether the node offers every profile."""
        from gpuassay.systems.slices.component.program import allocatable

        return self.part.offers().items() <= allocatable(self.node).items()

    def observe_unclaimed(self, name: str) -> None:
        """Note whether the claims of a pod go."""

        def unclaimed() -> bool:
            return not any(dig(one, "spec", "podRef", "name") == name for one in self.claims())

        self.lab.observe(unclaimed, f"no claim of {name} is left")

    @contextmanager
    def runtime_class_missing(self) -> Generator[None]:
        """Take DAS's RuntimeClass away for the length of a `with` block; for alone="cluster"."""
        from gpuassay.systems.slices.component import das_cluster

        api = self.lab.api
        api.delete("RuntimeClass", das_cluster.RUNTIME_CLASS)
        try:
            self.lab.observe(lambda: not self.das.webhook.mutates(), "pods are refused")
            yield
        finally:
            api.apply(das_cluster.runtime_class())
            self.lab.observe(self.das.webhook.mutates, "pods are accepted again")

    # --- faults and odd pods -----------------------------------------------------------------------------------------

    def pod_of_resource(self, name: str, resource: str, *steps: tuple[object, ...], count: int = 1) -> str:
        """Create a pod that asks for `count` of a resource by its full name, and says what it was given."""
        made = containers.container(
            "main", ("env", "CUDA_VISIBLE_DEVICES"), *WITNESS, *(steps or (("wait",),)),
            resources={"limits": {resource: str(count)}},
        )  # fmt: skip
        return slices.pod(self.lab, name, node=self.node.name, containers=[made])

    def note_indices(self, name: str) -> None:
        """Note what a pod of `pod_of_resource` says of CUDA_VISIBLE_DEVICES, as `notes.INDICES`."""
        self.said(name)  # waits until it has said everything
        log = self.lab.api.raw(f"/api/v1/namespaces/{self.lab.namespace}/pods/{name}/log?container=main")
        found = [line.partition("=")[2] for line in log.splitlines() if line.startswith("CUDA_VISIBLE_DEVICES=")]
        self.lab.note_under(notes.INDICES, name, found[0] if found else None)

    def attempt_any(self, label: str, profile: str | None = None) -> bool:
        """Try to create a pod, of a slice of `profile` or of none; `Recording.attempt` says what came of it."""
        limits = {"nvidia.com/mig-" + profile: "1"} if profile else {}
        made = containers.container("main", ("wait",), resources={"limits": limits})
        pod = containers.pod(label, self.lab.namespace, node=self.node.name, containers=[made])
        return self.lab.attempt(label, pod)

    @contextmanager
    def kubelet_frozen(self) -> Generator[None]:
        """Suspend the kubelet for the length of a `with` block: pods are bound, and none is admitted."""
        process = self.lab.cluster.processes[f"{self.node.name}-kubelet"]
        process.freeze()
        try:
            yield
        finally:
            process.thaw()

    def observe_bound(self, *names: str) -> bool:
        """Note whether the scheduler gives all pods the node."""
        return self.lab.observe(lambda: all(map(self.bound, names)), f"bound: {', '.join(names)}")

    def bound(self, name: str) -> bool:
        """Whether the scheduler has given a pod its node."""
        return bool(dig(self.lab.get("Pod", name) or {}, "spec", "nodeName", default=""))

    def decided(self, name: str) -> bool:
        """Whether the scheduler has given a pod its node, or has said that it cannot."""
        conditions = dig(self.lab.get("Pod", name) or {}, "status", "conditions", default=[])
        return self.bound(name) or any(one["type"] == "PodScheduled" for one in conditions)

    def policy(self, state: str) -> None:
        """Set the stub of GPU Operator's ClusterPolicy (through the mutant, when there is one)."""
        from gpuassay.systems.slices.component import das_cluster

        asked = das_cluster.policy(state)
        self.lab.api.apply(self.lab.mutant.change(asked) if self.lab.mutant else asked)
