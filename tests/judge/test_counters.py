"""Judges of GPUs that are published as counters, on recordings made by hand: each rule is broken once."""

from __future__ import annotations

from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge import counters
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.workloads.claims import published

A100 = gpu_model("a100-40gb")
SMALL, MEDIA, HALF = "1g.5gb", "1g.5gb+me", "3g.20gb"
LAST = 100


def line(at: int, kind: str, name: str, *, gone: bool = False, **parts: Manifest) -> Manifest:
    """A version of an object at `at` ns."""
    metadata = {"name": name, "namespace": "ns", "uid": f"{kind}-{name}", "resourceVersion": str(at)}
    shown = {"kind": kind, "metadata": metadata, **parts}
    return {"at": at, "type": "DELETED" if gone else "MODIFIED", "object": shown}


def claim(at: int, name: str, *devices: str, gone: bool = False) -> Manifest:
    """A claim that holds devices."""
    allocation = {"devices": {"results": [{"device": one} for one in devices]}}
    return line(at, "ResourceClaim", name, gone=gone, status={"allocation": allocation} if devices else {})


def pod(at: int, name: str, *, node: bool = False, told: str = "") -> Manifest:
    """A pod that has a node, or was told why it has none."""
    refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": told}
    spec: Manifest = {"nodeName": "n"} if node else {}
    return line(at, "Pod", name, spec=spec, status={"conditions": [refusal]} if told else {})


def recording(*events: Manifest, **wanted: str) -> SlicesRecording:
    """A recording of one GPU; `wanted` are the profiles that were asked for, by claim."""
    meta = RecordingMeta(scenario="s", notes={"gpus": [A100.name], "wanted": wanted})
    return SlicesRecording.of_parts(meta, asked=published("n", [A100]), events=events)


LOWER, UPPER = "gpu-0-3g20gb-0", "gpu-0-3g20gb-4"


def test_a_lawful_course_has_no_findings() -> None:
    """Red when places that may stand together, or follow each other, are reported."""
    seen = recording(claim(1, "a", LOWER), claim(2, "b", UPPER), claim(3, "a"), claim(4, "c", LOWER))
    assert counters.geometry_findings(seen) == []
    assert counters.held(seen, LAST) == {"b": [Place(0, 4, HALF)], "c": [Place(0, 0, HALF)]}
    assert counters.held(seen, 2) == {"a": [Place(0, 0, HALF)], "b": [Place(0, 4, HALF)]}


def test_places_that_overlap_or_are_too_many_are_found() -> None:
    """Red when a memory slice may be given out twice, for a moment, or a profile too often."""
    seen = recording(claim(1, "a", LOWER), claim(2, "b", "gpu-0-1g5gb-3"), claim(3, "b"))
    assert len(counters.geometry_findings(seen)) == 1
    seen = recording(claim(1, "a", "gpu-0"), claim(2, "b", UPPER))
    assert any("overlaps" in one for one in counters.geometry_findings(seen)), "a whole GPU takes all of it"
    seen = recording(claim(1, "a", "gpu-0-1g5gb-me-0"), claim(2, "b", "gpu-0-1g5gb-me-1"))
    assert any("already holds 1" in one for one in counters.geometry_findings(seen))


def test_a_deleted_claim_holds_nothing() -> None:
    """Red when the places of a claim that is gone count as taken."""
    assert counters.held(recording(claim(1, "a", LOWER), claim(2, "a", LOWER, gone=True)), LAST) == {}


def test_claims_that_hold_at_the_same_time_are_found() -> None:
    """Red when two claims may hold something together that must not."""
    seen = recording(claim(1, "a", LOWER), claim(2, "b", UPPER), claim(3, "a"))
    assert len(counters.together_findings(seen, "a", "b")) == 1
    assert (
        counters.together_findings(recording(claim(1, "a", LOWER), claim(2, "a"), claim(3, "b", LOWER)), "a", "b") == []
    )


def test_another_profile_and_a_missing_device_are_found() -> None:
    """Red when a pod may run with less or other than it asked for."""
    seen = recording(
        claim(1, "a", LOWER), pod(2, "a", node=True), claim(3, "b"), pod(4, "b", node=True), a=SMALL, b=HALF
    )
    assert counters.wanted_findings(seen, LAST) == [f"claim a asked for {SMALL} and holds {Place(0, 0, HALF)}"]
    assert counters.ghost_findings(seen, LAST) == ["pod b is on a node without what it asked for"]
    right = recording(claim(1, "a", LOWER), pod(2, "a", node=True), a=HALF)
    assert counters.wanted_findings(right, LAST) == counters.ghost_findings(right, LAST) == []


def test_a_pod_that_waits_although_there_is_room_is_found() -> None:
    """Red when a free place, or that of an instance too many, is judged wrongly."""
    seen = recording(
        claim(1, "a", LOWER), pod(1, "a", node=True), pod(2, "b"), pod(3, "c"), a=HALF, b=HALF, c="4g.20gb"
    )
    assert counters.waiting(seen, LAST) == ["b", "c"]
    assert counters.idle_findings(seen, LAST) == [f"pod b waits, {HALF} could stand at 0:4"]
    media = recording(claim(1, "a", "gpu-0-1g5gb-me-0"), pod(1, "a", node=True), pod(2, "b"), a=MEDIA, b=MEDIA)
    assert counters.idle_findings(media, LAST) == []


def test_a_pod_that_is_not_told_why_is_found() -> None:
    """Red when any refusal passes for one for want of devices."""
    why = "0/2 nodes are available: 1 cannot allocate all claims, 1 node(s) didn't match"
    seen = recording(pod(1, "a", told=why), pod(2, "b", told="0/2 nodes are available: 2 too many pods"), pod(3, "c"))
    found = counters.refusal_findings(seen, ["a", "b", "c"])
    assert [one.split()[1] for one in found] == ["b", "c"]
    decided = [counters.decided(seen.timelines("Pod")[name].final) for name in ("a", "b", "c")]
    assert decided == [True, False, False]
