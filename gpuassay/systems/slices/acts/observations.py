"""What there is on a sliced node, by its witnesses: containers, the books (API, kubelet, driver), the silicon."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.silicon import Slice, minors
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import accounts
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.pods import Pods
from gpuassay.systems.slices.judge import accounts as judged
from gpuassay.systems.slices.judge.observed import claimed_devices

_DEVICE = re.compile(r"gpu-(\d+)-mig-([\w-]+?)-\d+-(\d+)")
"""Name that the DRA driver gives to a possible slice: GPU, profile, profile's id, first memory slice."""
_CAPABILITY = re.compile(r"^nvidia-cap(\d+)$", re.MULTILINE)
_NAMED = re.compile(r"^NVIDIA_VISIBLE_DEVICES=(.*)$", re.MULTILINE)


class Witnesses(Pods):
    """A sliced node of which notes are taken.

    Attributes:
        agreeing: whether the five accounts can come to agree.
    """

    agreeing: bool = True

    def restart_all(self) -> None:
        """Restart kubelet and slicer while pods go on running."""
        raise NotImplementedError

    def finish(self, *, again: bool = False) -> None:
        """Delete all pods that are there, give slices on demand time to go, and note what is left, as `end`.

        What the five accounts say is noted before that, while slices are held, as `held`; and if `again` once more
        after a restart of kubelet and slicer, as `held-again`.
        """
        self.observe_accounts("held")
        if again:
            self.restart_all()
            self.observe_accounts("held-again")
        self.delete(*(one["metadata"]["name"] for one in self.lab.objects("Pod")))
        self.observe_empty()
        self.note_rest("end")

    def identify(self, *names: str) -> None:
        """Note which slices each container of the pods says it was given, as UUIDs (`notes.HELD`).

        Pods that never ran say nothing.
        """
        for name in names:
            found = self.lab.get("Pod", name) or {}
            kinds = ("initContainers", "containers")
            every: list[str] = [one["name"] for kind in kinds for one in dig(found, "spec", kind, default=[])]
            if slices.phase(self.lab, name) in {"Running", "Succeeded", "Failed"}:
                self.lab.note_under(notes.HELD, name, {one: self.said(name, one) for one in every})

    def said(self, pod: str, container: str = "main") -> list[str]:
        """UUIDs of the slices that a container says it was given; of its latest start. Empty where it says nothing."""
        return self.resolve(self.words(pod, container))

    def resolve(self, said: str) -> list[str]:
        """UUIDs of the slices that a container's first lines name; what is unknown keeps the name that it had."""
        found = _NAMED.search(said)
        named = found[1] if found else ""
        if named and named != "void":
            return sorted(named.split(","))
        uuids = {(one.gpu, one.gpu_instance): one.uuids for one in self.silicon.slices()}
        given: set[str] = set()
        for number in _CAPABILITY.findall(said):
            where = minors.instance_of(int(number))
            if where is not None and where[2] is not None:
                there = uuids.get((where[0], where[1]), ())
                given.add(there[0] if there else f"nothing at GPU {where[0]} instance {where[1]}")
        return sorted(given)

    def note_rest(self, label: str) -> None:
        """Note what exists now, as `notes.REST`: slices of the silicon, allocations, CDI devices, pods.

        All slices are told by UUID. Allocations are those of the API's claims, or of the kubelet's own books.
        """
        self.lab.note_under(notes.REST, label, self.rest())

    def rest(self) -> notes.Rest:
        """What exists now."""
        there = self.silicon.slices()
        return notes.Rest(
            slices=_uuids(there),
            allocated=self._claimed(there) if self.slicer == "dra" else self._booked(),
            cdi=[uuid_at(there, device) for device in self._cdi_devices()],
            pods=sorted(one["metadata"]["name"] for one in self.lab.objects("Pod")),
        )

    def observe_accounts(self, label: str) -> None:
        """Note what five witnesses say of the slices (`notes.ACCOUNTS`), as soon as they agree or have had time to."""
        if not self.agreeing:
            return
        self.lab.observe(lambda: not judged.differences(self.accounts(), self.slicer), f"accounts agree: {label}")
        self.lab.note_under(notes.ACCOUNTS, label, self.accounts())

    def accounts(self) -> notes.Accounts:
        """What five witnesses say now."""
        from gpuassay.systems.slices.component.dra import PLUGIN_FOLDER

        there = self.silicon.slices()
        on_demand, paths = self.slicer == "dra", self.node.paths

        def uuids(devices: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
            return {uid: [uuid_at(there, one) for one in ones] for uid, ones in devices.items()}

        offered = self._offered() if on_demand else set[str]()
        return notes.Accounts(
            pods={one["metadata"]["uid"]: dig(one, "status", "phase", default="") for one in self.lab.objects("Pod")},
            claims={
                one["metadata"]["uid"]: notes.Claimed(
                    one["metadata"]["name"],
                    [user["uid"] for user in dig(one, "status", "reservedFor", default=[])],
                    [uuid_at(there, device) for device in claimed_devices(one)],
                    offered >= set(claimed_devices(one)),
                )
                for one in (self.claims() if on_demand else ())
            },
            driver=uuids(accounts.prepared(paths.at(f"{PLUGIN_FOLDER}/checkpoint.json")))
            if on_demand
            else accounts.booked(paths.device_plugins / "kubelet_internal_checkpoint"),
            cdi=uuids(accounts.named_in_cdi(paths.cdi, _DEVICE)) if on_demand else None,
            silicon=_uuids(there) if on_demand else [*_uuids(there), *self.silicon.gpus],
            containers=accounts.contained(self.node, self.resolve),
        )

    def _offered(self) -> set[str]:
        """Devices of the newest complete ResourceSlices of this node."""
        from gpuassay.systems.slices.component.dra import complete, resource_slices

        found = resource_slices(self.node)
        newest = max((dig(one, "spec", "pool", "generation") for one in found), default=0)
        current = [one for one in found if dig(one, "spec", "pool", "generation") == newest]
        devices = (device["name"] for one in current for device in dig(one, "spec", "devices", default=[]))
        return set(devices) if complete(current) else set()

    def _claimed(self, there: Sequence[Slice]) -> list[notes.Allocation]:
        claims = [(dig(one, "status", "reservedFor", default=[]), claimed_devices(one)) for one in self.claims()]
        return [
            notes.Allocation(users[0]["name"] if users else "nobody", uuid_at(there, device))
            for users, devices in claims
            for device in devices
        ]

    def _booked(self) -> list[notes.Allocation]:
        """What the kubelet's checkpoint of device plugins says of pods that are there: it forgets others late."""
        file = self.node.paths.device_plugins / "kubelet_internal_checkpoint"
        if not file.exists():
            return []
        names = {one["metadata"]["uid"]: one["metadata"]["name"] for one in self.lab.objects("Pod")}
        entries: list[Manifest] = dig(json.loads(file.read_text()), "Data", "PodDeviceEntries", default=None) or []
        # a slice that an init container had before stands there twice
        held = {
            (names[one["PodUID"]], uuid)
            for one in entries
            if one["PodUID"] in names
            for uuids in one["DeviceIDs"].values()
            for uuid in uuids
        }
        return [notes.Allocation(pod, uuid) for pod, uuid in sorted(held)]

    def _cdi_devices(self) -> list[str]:
        folder = self.node.paths.cdi
        files = sorted(folder.glob("*claim*")) if folder.exists() else []
        return [device for one in files for device in sorted({found[0] for found in _DEVICE.finditer(one.read_text())})]

    def claims(self) -> list[Manifest]:
        """The ResourceClaims of the scenario that have devices of this node."""
        return [one for one in self.lab.objects("ResourceClaim") if claimed_devices(one)]

    def observe_empty(self) -> None:
        """Note whether neither slices nor claims are left, where slices are made on demand."""
        if self.slicer == "dra":
            empty = "no slice, claim or CDI device is left"
            self.lab.observe(
                lambda: not (self.silicon.slices() or self.lab.objects("ResourceClaim") or self._cdi_devices()), empty
            )


def _uuids(there: Sequence[Slice]) -> list[str]:
    return [uuid for one in there for uuid in one.uuids or (f"bare {one.profile} at {one.gpu}:{one.start}",)]


def uuid_at(there: Sequence[Slice], device: str) -> str:
    """UUID of the slice that a device of the DRA driver stands for (`gpu-0-mig-1g5gb-19-0`), or words about it."""
    found = _DEVICE.fullmatch(device)
    if found is None:
        return f"{device}, which is no slice"
    gpu, start, profile = int(found[1]), int(found[3]), found[2]
    for one in there:
        if (one.gpu, one.start) == (gpu, start) and _plain(one.profile) == _plain(profile) and one.uuids:
            return one.uuids[0]
    return f"{device}, which does not exist"


def _plain(profile: str) -> str:
    """A profile's name as far as every spelling of it agrees."""
    return re.sub(r"[^0-9a-z]", "", profile)
