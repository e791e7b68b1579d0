"""Who makes slices: every behaviour of the slice profile is proved of each of them.

One more slicer is one more line in `SLICERS`; what it is known to do wrong goes into `KNOWN`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import Alone, scenario
from gpuassay.scenario.lab import Lab
from gpuassay.scenario.slicing import SLICERS as SLICER_NAMES
from gpuassay.scenario.slicing import SlicerName
from suites.slices.das_known import DAS_KNOWN

MIG = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"
DEVICE_PLUGINS = "https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/"
PLUGIN = "https://github.com/NVIDIA/k8s-device-plugin"
DRIVER = "https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu"


@dataclass(frozen=True)
class Slicer:
    """One slicer.

    Attributes:
        name: as `gpuassay.scenario.slicing.opened` takes it.
        program: component without which its behaviours are skipped.
    """

    name: SlicerName
    program: str


SLICERS = (Slicer("device-plugin", "nvidia-device-plugin"), Slicer("dra", "nvidia-dra"), Slicer("das", "das"))


@dataclass(frozen=True)
class Deviation:
    """A known defect: which slicers have it, where that is written, and what they do instead."""

    slicers: tuple[str, ...]
    link: str
    reason: str


_XID = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/1929",
    "the health check keeps one device of each GPU, whichever comes last, and ignores events of the others",
)  # fmt: skip
_ROLLBACK = f"{DRIVER}/issues/1452"
_WEDGED = Deviation(("dra",), _ROLLBACK, "one failed Prepare cannot be rolled back, and every later one fails with it")
_HALF = Deviation(("dra",), _ROLLBACK, "a GPU instance without compute instance is not found, and survives")

_LAST_WINS = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/728",
    "each resource of a container sets NVIDIA_VISIBLE_DEVICES, and the last one wins",
)  # fmt: skip
_PLAIN_NAME = Deviation(
    ("device-plugin",), f"{PLUGIN}/issues/1462",
    "the pattern of a profile also matches that profile with media extensions, which gets the plain one's name",
)  # fmt: skip

KNOWN: dict[str, Deviation] = {
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
    *, timeout: float, only: tuple[SlicerName, ...] = SLICER_NAMES, alone: Alone = ""
) -> Callable[[Callable[[Lab, SlicerName], None]], Any]:
    """Declare a scenario once per slicer. Tests take it by name and run once per slicer, on that slicer's recording."""

    def declare(act: Callable[[Lab, SlicerName], None]) -> Any:
        module = sys.modules[act.__module__]

        def of(slicer: Slicer) -> str:
            def acted(lab: Lab) -> None:
                act(lab, slicer.name)

            acted.__name__ = f"{act.__name__}_{slicer.name.replace('-', '_')}"
            acted.__module__, acted.__doc__ = act.__module__, act.__doc__
            needs = (f"program:{slicer.program}",)
            setattr(module, acted.__name__, scenario(system="slices", needs=needs, timeout=timeout, alone=alone)(acted))
            return acted.__name__

        slicers = {of(one): one.name for one in SLICERS if one.name in only}

        @pytest.fixture(name=act.__name__, params=[pytest.param(name, id=slicers[name]) for name in slicers])
        def recording(request: pytest.FixtureRequest) -> Recording:
            _expect_deviation(request, slicers[request.param])
            return request.getfixturevalue(request.param)

        return recording

    return declare


def _expect_deviation(request: pytest.FixtureRequest, slicer: str) -> None:
    """Mark the test as one that fails (strict) where the slicer is known to deviate."""
    marker = request.node.get_closest_marker("behaviour")
    found = marker.args[0].id if marker is not None else ""
    deviation = DAS_KNOWN.get(found) if slicer == "das" else KNOWN.get(found)
    if deviation is None or (isinstance(deviation, Deviation) and slicer not in deviation.slicers):
        return
    request.node.add_marker(pytest.mark.known_defect(deviation.link))
    reason = f"{deviation.reason} ({deviation.link})"
    strict = isinstance(deviation, Deviation) or not deviation.racy
    request.node.add_marker(pytest.mark.xfail(reason=reason, strict=strict, raises=AssertionError))
