"""What a recording tells of DAS: the claims' way through their states, and what the webhook made of pods.

Source: `AllocationClaim` in https://github.com/openshift/instaslice-operator (api group inference.redhat.com/v1alpha1).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.judge.observed import RESOURCE
from gpuassay.systems.slices.readings import SlicesRecording

STATES = ("staged", "created", "processing", "inUse")
"""In the order of a claim's life; before the first its state is empty."""
RENAMED = "mig.das.com/"
SCHEDULER, RUNTIME_CLASS = "das-scheduler", "nvidia-legacy"


def claims_of(recording: SlicesRecording, pod: str) -> dict[str, list[str]]:
    """States that each claim of `pod` went through, in order, each once when it stays; by the claim's name."""
    found: dict[str, list[str]] = {}
    for name, history in recording.timelines("AllocationClaim").items():
        if dig(history.first, "spec", "podRef", "name") != pod:
            continue
        seen = [str(dig(event.object, "status", "state", default="")) for event in history.events]
        found[name] = [state for at, state in enumerate(seen) if state and (not at or seen[at - 1] != state)]
    return found


def order_findings(recording: SlicesRecording, pod: str) -> list[str]:
    """Claims of `pod` that skip a state, go back, or do not come to be in use; also that it has none."""
    claims = claims_of(recording, pod)
    found = [] if claims else [f"pod {pod} has no claim"]
    for name, states in claims.items():
        unknown = [one for one in states if one not in STATES]
        found += [f"claim {name} is in the unknown state {one!r}" for one in unknown]
        numbers = [STATES.index(one) for one in states if one in STATES]
        found += [
            f"claim {name} goes from {STATES[one]} to {STATES[other]}"
            for one, other in pairwise([-1, *numbers])
            if other != one + 1
        ]
        if not numbers or numbers[-1] != len(STATES) - 1:
            found.append(f"claim {name} ends as {states[-1] if states else 'nothing'}, not in use")
    return found


def gone_at(recording: SlicesRecording, pod: str) -> list[int | None]:
    """When each claim of `pod` was deleted, ns since the epoch; None for one that was not."""
    histories = recording.timelines("AllocationClaim")
    return [
        histories[name].events[-1].at if histories[name].deleted else None for name in claims_of(recording, pod)
    ]  # fmt: skip


def renaming_findings(asked: Manifest, stored: Manifest) -> list[str]:
    """Where a pod that was stored differs from what DAS's webhook must make of the one that was asked for.

    Limits on slices, by NVIDIA's name, become limits and requests by DAS's; scheduler and RuntimeClass are DAS's; what
    asks for no slice keeps its resources.
    """
    found: list[str] = []
    for kind in ("containers", "initContainers"):
        pairs = zip(dig(asked, "spec", kind, default=[]), dig(stored, "spec", kind, default=[]), strict=True)
        for one, other in pairs:
            wanted = renamed(dig(one, "resources", "limits", default={}))
            for which in ("limits", "requests"):
                there: Mapping[str, str] = dig(other, "resources", which, default={})
                if dict(there) != wanted:
                    found.append(f"{which} of {one['name']}: expected {wanted}, there are {dict(there)}")
    for field, expected in (("schedulerName", SCHEDULER), ("runtimeClassName", RUNTIME_CLASS)):
        if (seen := dig(stored, "spec", field, default=None)) != expected:
            found.append(f"{field}: expected {expected}, there is {seen}")
    return found


def renamed(limits: Mapping[str, str]) -> dict[str, str]:
    """Limits by DAS's names: `nvidia.com/mig-1g.5gb` becomes `mig.das.com/1g.5gb`."""
    return {
        RENAMED + name.removeprefix(RESOURCE) if name.startswith(RESOURCE) else name: count
        for name, count in limits.items()
    }
