"""Opens a GPU node of somebody's cluster for one scenario: the node's turn, what it has, and what it has in the end.

    with opened(lab, "device-plugin", gpus=GPUS, wants={"1g.5gb": 1}) as site:
        site.pod("small", "1g.5gb")

At the beginning and in the end pods of ours take all that is free and tell what that is. So slices that are lost, or
that are still in use although their pods are gone, show by nothing but a kubeconfig.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.gpus import gpu_model
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts.pods import SlicerName
from gpuassay.systems.slices.outside import claimable
from gpuassay.systems.slices.outside.claimable import Claimable, claimables
from gpuassay.systems.slices.outside.held import Holder
from gpuassay.systems.slices.outside.site import OutsideSite
from gpuassay.systems.slices.outside.supply import Supply, supplies, turn

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

TOLD_SECONDS = 10.0
"""Within which a kubelet that tells what it gave a pod has done so; the pod runs by then."""
SHARED = "::"
"""In the name of a device that the plugin gives to several: the number of the share follows."""
UUIDS = ("GPU-", "MIG-")
"""How the names of devices begin where containers and the kubelet use the same."""
NOTHING_TOLD = (
    "containers do not tell what they were given: neither NVIDIA_VISIBLE_DEVICES, nor nvidia-smi, nor /dev/nvidia-caps "
    "says it; give an image in which nvidia-smi runs by --gpuassay-image (glibc and a shell)"
)
TAKEN_SECONDS = 45.0
"""Within which all that is free can be taken once the scenario's pods are gone."""


@contextmanager
def opened(lab: Lab, slicer: SlicerName, *, gpus: Sequence[str], wants: Mapping[str, int]) -> Generator[OutsideSite]:
    """A node of the cluster for the length of a `with` block.

    Args:
        lab: the scenario's lab.
        slicer: who makes the slices.
        gpus: models of the GPUs that the scenario is written for: where slices are cut on demand, as many are free.
        wants: slices that the scenario is to find free where they were cut beforehand, by profile; exactly these are.

    Raises:
        NotFromOutside: the cluster has no such node.
        ClusterError: what is free cannot be had, or what runs gives no evidence of it; one line says why.
    """
    if slicer == "device-plugin":
        with turn(lab.cluster.name, lambda: supplies(lab.api, lab.run_id, wants), lambda one: one.node) as supply:
            yield from _cut(lab, supply)
    elif slicer == "dra":
        with turn(lab.cluster.name, lambda: claimables(lab.api, lab.run_id, gpus), lambda one: one.node) as place:
            yield from _on_demand(lab, place, gpus)
    else:
        raise NotFromOutside(f"slices by {slicer} are read from the node, which only is ours where the node is ours")


class _Cut(OutsideSite):
    """Slices that were cut beforehand, or whole GPUs: the device plugin hands them out."""

    def __init__(self, lab: Lab, supply: Supply, holder: Holder) -> None:
        super().__init__(lab, "device-plugin", supply.node, supply.names)
        self._supply, self._holder = supply, holder
        self._inventory: list[str] = []
        self._kept: list[str] = []
        self._closing: list[str] | None = None

    def take_inventory(self) -> None:
        """Take all that is free, note what that is, and give back what the scenario is to find."""
        for kind, counts in (("kept", self._supply.surplus), ("taken", self._supply.wanted)):
            for number, (profile, count) in enumerate(sorted(counts.items())):
                self._holder.hold(f"{kind}-{number}", profile, count)
        slots: list[notes.Slot] = []
        lacking: list[str] = []
        for kind, counts in (("kept", self._supply.surplus), ("taken", self._supply.wanted)):
            for number, (profile, count) in enumerate(sorted(counts.items())):
                given = self._holder.said(f"{kind}-{number}")
                if not given:
                    raise NotFromOutside(NOTHING_TOLD)
                if len(given) != count:
                    lacking.append(f"{len(given)} of {count} x {profile} were given to a container that has them all")
                slots += [notes.Slot(one.uuid, one.profile or profile) for one in given]
                if kind == "kept":
                    self._kept += [one.uuid for one in given]
        self._inventory = sorted(one.uuid for one in slots)
        self.lab.note(notes.INVENTORY, slots)
        self.lab.note(notes.CONTRADICTIONS, [*self.lab.noted(notes.CONTRADICTIONS), *lacking])
        self._look_into_books()
        self._holder.release(f"taken-{number}" for number in range(len(self._supply.wanted)))

    def _look_into_books(self) -> None:
        """Find out whether the kubelet tells what it gives, in words that containers use too.

        Raises:
            NotFromOutside: it gives one device to several.
        """

        def told() -> list[str]:
            books = self._holder.books("taken-0") or {}
            return [one for ones in books.values() for one in ones]

        there = self.lab.observe(lambda: bool(told()), "the kubelet tells what it gives", timeout=TOLD_SECONDS)
        if any(SHARED in one for one in told()):
            raise NotFromOutside("the device plugin gives each device to several pods (time-slicing or MPS)")
        self.tells = there and all(one.startswith(UUIDS) for one in self._inventory)

    def slices_now(self) -> list[str]:
        """UUIDs of all slices, as they were told when all were taken last."""
        closing, self._closing = self._closing, None
        return self._inventory if closing is None else closing

    def observe_empty(self) -> None:
        """Take all that the scenario was given once more: that is what there is in the end."""
        found = list(self._kept)
        names = [f"again-{number}" for number in range(len(self._supply.wanted))]
        for name, (profile, count) in zip(names, sorted(self._supply.wanted.items()), strict=True):
            self._holder.hold(name, profile, count)
        for name in names:
            if self.lab.observe(
                lambda one=name: self._holder.runs(one, 1.0), "all is free again", timeout=TAKEN_SECONDS
            ):
                found += [one.uuid for one in self._holder.said(name)]
        self._holder.release(names)
        self._closing = sorted(found)


class _OnDemand(OutsideSite):
    """Slices that a DRA driver cuts when a claim is prepared."""

    def __init__(self, lab: Lab, place: Claimable, names: Mapping[str, str], holder: Holder) -> None:
        super().__init__(lab, "dra", place.node, names)
        self._place, self._holder, self._looks = place, holder, 0
        self._closing: list[str] | None = None

    def slices_now(self) -> list[str]:
        """UUIDs of the slices that running containers have; words about what keeps a GPU from being taken whole."""
        closing, self._closing = self._closing, None
        return super().slices_now() if closing is None else closing

    def observe_empty(self) -> None:
        """Note whether claims go; then take each GPU whole, as two halves: that fails where a slice is left."""
        if self._running():
            return
        self.lab.observe(lambda: not self.lab.objects("ResourceClaim"), "no slice, claim or CDI device is left")
        name, self._looks = f"again-{self._looks}", self._looks + 1
        uuids = list(self._place.gpus.values())
        self._holder.claim(name, claimable.halves(uuids, self._place.model))
        free = self.lab.observe(lambda: self._holder.runs(name, 1.0), "all is free again", timeout=TAKEN_SECONDS)
        self._holder.release([name])
        self._closing = [] if free else [f"something on {' or '.join(uuids)} that keeps them from being taken whole"]


def _cut(lab: Lab, supply: Supply) -> Generator[OutsideSite]:
    holder = Holder(lab, supply.node)
    try:
        site = _Cut(lab, supply, holder)
        _note(lab, site, [])
        lab.note(notes.WANTED_THERE, dict(supply.wanted))
        site.take_inventory()
        yield from _begun(lab, site)
    finally:
        holder.close()


def _on_demand(lab: Lab, place: Claimable, wanted: Sequence[str]) -> Generator[OutsideSite]:
    claimable.offer_by_name(lab, place.model)
    holder = Holder(lab, place.node)
    try:
        site = _OnDemand(lab, place, claimable.profiles(gpu_model(wanted[0]), place.model), holder)
        _note(lab, site, [place.model.name] * len(place.gpus))
        lab.note(notes.INVENTORY, [])
        lab.note(notes.NUMBERS, list(place.gpus))
        lab.note(notes.GPU_UUIDS, list(place.gpus.values()))
        if place.others:
            holder.claim("kept", claimable.halves(place.others, place.model))
            holder.said("kept")
        yield from _begun(lab, site)
    finally:
        holder.close()


def _note(lab: Lab, site: OutsideSite, models: Sequence[str]) -> None:
    lab.note(notes.SLICER, site.slicer)
    lab.note(notes.GPUS, list(models))
    lab.note(notes.NODE, site.node.name)
    lab.note(notes.STANDS_FOR, dict(site.names))
    lab.note(notes.GPU_UUIDS, [])


def _begun(lab: Lab, site: OutsideSite) -> Generator[OutsideSite]:
    site.note_rest("begin")
    lab.mark("opened")
    yield site
