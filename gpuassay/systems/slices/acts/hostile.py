"""Claims that the API server takes and nobody can serve: the scheduler has to live and to serve others all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest
from gpuassay.record.notes import Note
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.workloads import claims as resources

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.acts.counters import PublishedGpus

CANARY, PROFILE = "canary", "1g.5gb"
HUGE = 2**62
"""Devices: two such requests of a claim have no sum of 64 bits."""
ALIVE = Note("alive", bool, "whether the scheduler's process lived in the end")
MANY = 33
"""Devices: one more than a claim may hold (AllocationResultsMaxSize)."""


def _exactly(device_class: str, **fields: object) -> Manifest:
    made: Manifest = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": 1, **fields}
    return {"name": "device", "exactly": made}


def _selected(device_class: str, expression: str) -> Manifest:
    return _exactly(device_class, selectors=[{"cel": {"expression": expression}}])


def requests(device_class: str) -> Mapping[str, list[Manifest]]:
    """Requests of hostile claims, by what is odd about them; all pass the API server's validation."""
    first = [{"name": f"s-{number}", "deviceClassName": device_class, "count": MANY} for number in range(8)]
    return {
        "too-many": [_exactly(device_class, count=MANY)],
        "largest": [_exactly(device_class, count=2**63 - 1)],
        "alternatives": [{"name": "device", "firstAvailable": first}],
        "no-class": [_exactly("there-is-none")],
        "no-attribute": [_selected(device_class, "device.attributes['nobody'].nothing == 1")],
        "no-capacity": [_exactly(device_class, capacity={"requests": {"nobody.example/nothing": "1"}})],
    }


def huge(device_class: str) -> list[Manifest]:
    """Requests of a claim that has no sum."""
    return [{**_exactly(device_class, count=HUGE), "name": f"r-{number}"} for number in range(2)]


def ask(lab: Lab, site: PublishedGpus, name: str, wanted: list[Manifest]) -> bool:
    """Create a claim and a pod that uses it, unless the API server refuses the claim; whether it took it."""
    taken = lab.attempt(name, resources.claim(name, lab.namespace, wanted))
    if taken:
        lab.create(resources.pod(name, lab.namespace, name, site.node))
    return taken


def told(lab: Lab, name: str) -> bool:
    """Whether the scheduler has given a pod a node, or said anything of it."""
    pod = lab.get("Pod", name) or {}
    return judged.on_a_node(pod) or any(
        one["type"] == "PodScheduled" for one in pod.get("status", {}).get("conditions", [])
    )


def observe_canary(lab: Lab, site: PublishedGpus) -> None:
    """Create a pod that asks for a slice as anybody does; note whether it is served."""
    site.ask(CANARY, PROFILE)
    lab.observe(lambda: site.given(CANARY), "the canary is served", timeout=15)
