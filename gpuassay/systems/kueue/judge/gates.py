"""Scheduling gates of pods: what keeps a queued pod from the scheduler until Kueue lets it go."""

from __future__ import annotations

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline

ADMISSION_GATE = "kueue.x-k8s.io/admission"


def gated(pod: Manifest) -> bool:
    """Whether a pod still waits for Kueue."""
    return any(gate["name"] == ADMISSION_GATE for gate in dig(pod, "spec", "schedulingGates", default=[]))


def bound(pod: Manifest) -> bool:
    """Whether a pod has a node."""
    return bool(dig(pod, "spec", "nodeName", default=""))


def gate_findings(pod: Timeline, workload: Timeline | None) -> list[str]:
    """What is wrong with a pod's gate; empty when it was there at first and went once its Workload was admitted.

    A pod's change and its Workload's reach the recorder on two streams, so that their receipt says nothing of their
    order; resource versions of one store do: the version that admitted is smaller than the one that opened the gate.
    A Workload of None, or one that is never admitted, means that the gate must stay.
    """
    found: list[str] = []
    if not gated(pod.first):
        found.append(f"pod {pod.name}: expected the gate {ADMISSION_GATE} from the start, seen none")
    opened = next((event.rv for event in pod.events if not gated(event.object)), None)
    placed = next((event.rv for event in pod.events if bound(event.object)), None)
    admitted = _admitted(workload) if workload else None
    if opened is not None and admitted is None:
        found.append(f"pod {pod.name}: its gate was removed although its Workload was never admitted")
    elif opened is not None and admitted is not None and opened < admitted:
        found.append(f"pod {pod.name}: its gate was removed before its Workload was admitted")
    elif opened is None and admitted is not None:
        found.append(f"pod {pod.name}: its gate was never removed although its Workload was admitted")
    if placed is not None and opened is not None and placed < opened:
        found.append(f"pod {pod.name}: it had a node before its gate was removed")
    return found


def _admitted(workload: Timeline) -> int | None:
    return next((event.rv for event in workload.events if is_true(event.object, "Admitted")), None)


def admitted_at(workload: Timeline) -> int | None:
    """Receipt time in ns of the Workload's admission, or None."""
    return workload.when(lambda one: is_true(one, "Admitted"))


def pod_set_shapes(workload: Manifest, resource: str) -> list[tuple[int, str]]:
    """Pod sets as (count, amount of `resource` per pod), sorted; "0" for none."""
    found: list[tuple[int, str]] = []
    for pod_set in dig(workload, "spec", "podSets", default=[]):
        container = dig(pod_set, "template", "spec", "containers", 0, default={})
        amount = dig(container, "resources", "requests", resource) or dig(container, "resources", "limits", resource)
        found.append((int(pod_set["count"]), str(amount or "0")))
    return sorted(found)
