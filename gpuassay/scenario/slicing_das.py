"""A node whose GPUs are sliced by DAS, for one scenario: as `gpuassay.scenario.slicing`, with DAS's books."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from gpuassay.manifest import Manifest, dig
from gpuassay.scenario.slicing import Site

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.components.slices.das import Das


class DasSite(Site):
    """What a scenario can do on a node of DAS; `part` is its daemonset."""

    @property
    def das(self) -> Das:
        """DAS on this node."""
        return cast("Das", self.part)

    def claims(self) -> list[Manifest]:
        """The AllocationClaims of the node, as they are now."""
        return self.das.claims()

    def note_rest(self, label: str) -> None:
        """As of any slicer; allocations are AllocationClaims, CDI devices the UUIDs that DAS's CDI files name."""
        super().note_rest(label)
        self.lab.notes["rest"][label] |= {
            "cdi": self._cdi_devices(),
            "states": sorted(str(dig(one, "status", "state", default="")) for one in self.claims()),
        }

    def _booked(self) -> list[dict[str, str]]:
        gpus = self.silicon.gpus
        there = {(gpus[one.gpu], one.start): one.uuids for one in self.silicon.slices()}
        found: list[dict[str, str]] = []
        for one in self.claims():
            spec = one["spec"]
            place = (str(spec.get("gpuUUID", "")), int(dig(spec, "migPlacement", "start", default=-1)))
            uuids = there.get(place) or (f"nothing at {place[0]}:{place[1]}",)
            found.append({"pod": str(dig(spec, "podRef", "name", default="nobody")), "uuid": uuids[0]})
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

    def observe_empty(self) -> None:
        """Note whether neither slices, claims nor CDI devices are left."""
        self.lab.observe(
            lambda: not (self.silicon.slices() or self.claims() or self._cdi_devices()),
            "no slice, claim or CDI device is left",
        )

    def observe_offered(self) -> None:
        """Note whether the node comes to offer every profile (`notes["observed"]`)."""
        from gpuassay.components.slices.das import offered
        from gpuassay.components.slices.part import allocatable

        wanted = offered(self.driver).items()
        self.lab.observe(lambda: wanted <= allocatable(self.node).items(), "the node offers all slices")

    def start_slicer(self) -> None:
        """Start the daemonset again; notes whether the node comes to offer what it should."""
        self.part.start()
        self.observe_offered()

    def note_claims(self, label: str) -> None:
        """Note the claims that there are now as `notes["claims"][label]`: pod, profile and state of each."""
        rows: list[dict[str, Any]] = [
            {
                "pod": dig(one, "spec", "podRef", "name", default=""),
                "profile": dig(one, "spec", "profile", default=""),
                "state": dig(one, "status", "state", default=""),
            }
            for one in self.claims()
        ]
        self.lab.notes.setdefault("claims", {})[label] = rows
