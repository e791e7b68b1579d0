"""Fair sharing: which split of borrowed quota is fair, and what a ClusterQueue must tell of its share.

The share of a queue is what it borrows, by what its cohort can lend, by its weight (Kueue docs, "Fair sharing";
`pkg/cache/scheduler/fair_sharing.go`).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from gpuassay.labels import GPU
from gpuassay.manifest import dig
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording


def fair_split(gpus: int, wants: Mapping[str, int], weights: Mapping[str, int]) -> dict[str, int]:
    """How many of `gpus` borrowed GPUs each queue gets when all want single ones: progressive filling.

    The next GPU goes to the queue whose share would be lowest with it; weight 1 where none is given, and a queue of
    weight 0 gets what nobody else wants.

    Raises:
        ValueError: equal shares compete for the last GPU, so that no split is the only fair one.
    """
    got = dict.fromkeys(wants, 0)

    def share(name: str) -> tuple[bool, Fraction]:
        weight = weights.get(name, 1)
        return weight == 0, Fraction(got[name] + 1, weight or 1)

    for _ in range(gpus):
        hungry = [name for name in wants if got[name] < wants[name]]
        if not hungry:
            break
        lowest = min(share(name) for name in hungry)
        best = [name for name in hungry if share(name) == lowest]
        left = gpus - sum(got.values())
        if len(best) > left:
            raise ValueError(f"no single fair split: {', '.join(best)} compete for {left}")
        got[best[0]] += 1
    return got


def weighted_share(borrowed: int, lendable: int, weight: int) -> int:
    """`status.fairSharing.weightedShare` of a ClusterQueue with one resource; weight must be positive."""
    return ceil(Fraction(borrowed * 1000, lendable) / weight)


def consumed_by(recording: KueueRecording, local_queue: str, resource: str = GPU) -> list[tuple[int, Fraction]]:
    """What a LocalQueue's status told of its past use: (receipt time in ns, amount), every change of status."""
    path = ("status", "fairSharing", "admissionFairSharingStatus")
    line = recording.timelines("LocalQueue").get(local_queue)
    return [
        (event.at, Fraction(parse_quantity(dig(event.object, *path, "consumedResources", resource, default=0))))
        for event in (line.events if line else [])
        if dig(event.object, *path) is not None
    ]
