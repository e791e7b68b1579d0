"""Who makes slices: every behaviour of the slice profile is proved of each of them.

One more slicer is one more line in `SLICERS`; what it is known to do wrong goes into `KNOWN`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuassay import Lab
from gpuassay.systems.slices.acts.node import SLICERS as SLICER_NAMES
from gpuassay.systems.slices.acts.node import SlicerName
from suites.slices.das_known import DAS_KNOWN, NO_MEDIA, ONE_OF_TWO
from suites.variants import Alone, Deviation, per_variant

MIG = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"
DEVICE_PLUGINS = "https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/"
PLUGIN = "https://github.com/NVIDIA/k8s-device-plugin"
DRIVER = "https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu"


@dataclass(frozen=True)
class Slicer:
    """One slicer.

    Attributes:
        name: as `gpuassay.systems.slices.acts.node.opened` takes it.
        program: component without which its behaviours are skipped.
    """

    name: SlicerName
    program: str


SLICERS = (Slicer("device-plugin", "nvidia-device-plugin"), Slicer("dra", "nvidia-dra"), Slicer("das", "das"))


_XID = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/1929",
    "the health check keeps one device of each GPU, whichever comes last, and ignores events of the others",
    shows="expected 0 of the broken slices on offer, seen 1",
)  # fmt: skip
_ROLLBACK = f"{DRIVER}/issues/1452"
_WEDGED = Deviation(
    ("dra",), _ROLLBACK, "one failed Prepare cannot be rolled back, and every later one fails with it",
    shows="expected the unlucky pod to (run once its slice could be made|be gone)",
)  # fmt: skip
_HALF = Deviation(
    ("dra",), _ROLLBACK, "a GPU instance without compute instance is not found, and survives",
    shows="half a slice",
)  # fmt: skip

_SEVENTHS = Deviation(
    ("dra",), f"{DRIVER}/issues/1480",
    "of two compute profiles of seven slices the driver takes the one that the GPU has not",
    shows="expected a slice of every profile, none of 7g",
)  # fmt: skip
_EARLY = Deviation(
    ("device-plugin",), "https://github.com/kubernetes/kubernetes/issues/125579",
    "the kubelet refuses pods for good that it comes to before their device plugin has registered",
    shows="expected both pods to run again",
)  # fmt: skip
_LAST_WINS = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/728",
    "each resource of a container sets NVIDIA_VISIBLE_DEVICES, and the last one wins",
    shows=ONE_OF_TWO,
)  # fmt: skip
_PLAIN_NAME = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/1462",
    "the pattern of a profile also matches that profile with media extensions, which gets the plain one's name",
    shows=NO_MEDIA,
)  # fmt: skip
KNOWN: dict[str, Deviation] = {
    "slices.faults.reboot-returns": _EARLY,
    "slices.profiles.wholes": _SEVENTHS,
    "slices.shapes.mixed-profiles": _LAST_WINS,
    "slices.shapes.media-extensions": _PLAIN_NAME,
    "slices.health.together": _XID,
    "slices.on-demand.creation-retried": _WEDGED,
    "slices.on-demand.creation-failure-deletable": _WEDGED,
    "slices.on-demand.half-slice-swept": _HALF,
    "slices.on-demand.half-slice-usable": _HALF,
}
"""By behaviour id. Verified with k8s-device-plugin v0.18.0 and dra-driver-nvidia-gpu v0.5.0."""


def per_slicer(
    *, timeout: float, only: tuple[SlicerName, ...] = SLICER_NAMES, alone: Alone = "", outside: bool = False
) -> Callable[[Callable[[Lab, SlicerName], None]], Any]:
    """Declare a scenario once per slicer. Tests take it by name and run once per slicer, on that slicer's recording.

    `outside`: it can be acted out on somebody's cluster as well.
    """
    needs = {one.name: (f"program:{one.program}",) for one in SLICERS if one.name in only}
    return per_variant(needs, _known, system="slices", timeout=timeout, alone=alone, outside=outside)


def _known(behaviour: str, slicer: str) -> Deviation | None:
    if slicer != "das":
        return KNOWN.get(behaviour)
    found = DAS_KNOWN.get(behaviour)
    return Deviation(("das",), *found) if found else None
