"""Judges of Kueue in front of slices, on recordings made by hand: each rule is broken once and must be found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.judge.observed import COMPUTE, DESTROYED, MADE
from gpuassay.systems.slices.judge.performance import JOB_NAME
from gpuassay.systems.slices.model.paper import GPU_MODEL, GPUS, LARGE, MEDIUM, slice_mix
from gpuassay.systems.slices.model.predict import balanced
from gpuassay.systems.slices.model.slices import Dynamic, SliceJob, Static

SECOND = 1_000_000_000
SLOTS = {MEDIUM: {"credits": 5}, LARGE: {"credits": 20}}
A, B = "MIG-a", "MIG-b"


def workload(at: float, *, quota: bool, finished: bool = False, job: str = "job") -> Manifest:
    """A version of the Workload of `job`, `at` seconds after the origin."""
    states = {"QuotaReserved": quota, "Finished": finished}
    conditions = [{"type": kind, "status": "True" if on else "False"} for kind, on in states.items()]
    usage = [{"name": "main", "count": 1, "resourceUsage": {"credits": "20"}}]
    return _event(at, "Workload", f"w-{job}", owners=[{"name": job}], status={
        "conditions": conditions, "admission": {"podSetAssignments": usage} if quota else None,
    })  # fmt: skip


def pod(at: float, phase: str = "Pending", *, node: bool = False, gone: bool = False, job: str = "job") -> Manifest:
    """A version of the pod of `job`, which asks for a 3g.20gb."""
    resources = {"limits": {f"nvidia.com/mig-{LARGE}": "1"}}
    spec: Manifest = {"containers": [{"name": "main", "resources": resources}]} | ({"nodeName": "n"} if node else {})
    made = _event(at, "Pod", f"{job}-pod", labels={JOB_NAME: job}, spec=spec, status={"phase": phase})
    return made | {"type": "DELETED" if gone else "MODIFIED"}


def _event(at: float, kind: str, name: str, **more: Any) -> Manifest:
    metadata = {
        "name": name, "namespace": "ns", "uid": name, "resourceVersion": str(int(at * 10)),
        "labels": more.pop("labels", {}), "ownerReferences": more.pop("owners", []),
    }  # fmt: skip
    shown = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}
    return {"at": int(at * SECOND), "type": "MODIFIED", "object": shown}


def row(at: float, kind: str, start: int = 0, uuid: str = "") -> Manifest:
    """Something that happened to a 3g.20gb of GPU 0."""
    where = {"node": "t", "gpu": 0, "gpu_instance": start, "start": start, "size": 4}
    return {"at": int(at * SECOND), "kind": kind, "uuid": uuid, "name": LARGE, **where}


def recording(
    *events: Manifest, slicer: str = "dra", silicon: list[Manifest] | None = None, **notes: Any
) -> PlatformRecording:
    """A recording of jobs `job` and, where it has events, `other`."""
    names = ["job", *(["other"] if any("other" in str(one) for one in events) else [])]
    told = {"jobs": [asdict(SliceJob(name, LARGE, 0.0, 0.0)) for name in names], "slicer": slicer, "gpus": [GPU_MODEL]}
    meta = RecordingMeta(scenario="s", notes={**told, **notes})
    return PlatformRecording.of_parts(meta, events=events, silicon=silicon or [])


def test_the_papers_mix_has_three_jobs_without_a_place() -> None:
    """Red when quota is filled in another way than in order, each that fits, or places are counted otherwise."""
    charges = {MEDIUM: {"slices": 1, "memory": 5}, LARGE: {"slices": 3, "memory": 20}}
    admitted = kueue_slices.affordable(slice_mix(1), charges, {"slices": 56, "memory": 320})
    assert [sum(one.profile == profile for one in admitted) for profile in (MEDIUM, LARGE)] == [16, 12]
    gpus = [gpu_model(GPU_MODEL)] * GPUS
    assert len(kueue_slices.placeable(admitted, Dynamic(gpus))) == 25
    assert len(kueue_slices.placeable(admitted, Static(gpus, balanced()))) == 24


def test_a_job_with_quota_and_without_a_node_is_unplaced() -> None:
    """Red when a job that is not admitted, is placed, or is over counts as admitted and not placed, or none does."""
    seen = recording(
        workload(1, quota=False), workload(2, quota=True), pod(3), pod(5, "Running", node=True),
        pod(7, "Succeeded", node=True), workload(8, quota=True, finished=True),
    )  # fmt: skip
    moments = {at: kueue_slices.unplaced_at(seen, int(at * SECOND)) for at in (1.5, 2.5, 4, 6, 9)}
    assert moments == {1.5: [], 2.5: ["job"], 4: ["job"], 6: [], 9: []}
    assert kueue_slices.charged(seen, "job") == {"credits": 20}
    assert kueue_slices.first_run(seen, "job") == 5 * SECOND


def test_a_release_tells_quota_and_slice_apart() -> None:
    """Red when a slice counts as free before it is destroyed, or a static one before its pod has ended."""
    events = [
        workload(1, quota=True), pod(2, "Running", node=True), workload(5, quota=True, finished=True),
        pod(7, "Succeeded", node=True),
    ]  # fmt: skip
    made = [row(1, MADE), row(1, COMPUTE, uuid=A)]
    held = {"job-pod": {"main": [A]}}
    on_demand = recording(*events, silicon=[*made, row(9, DESTROYED)], held=held)
    assert kueue_slices.release(on_demand, "job").apart == 4
    assert kueue_slices.release(recording(*events, silicon=made, held=held), "job").apart is None
    static = recording(*events, slicer="device-plugin", silicon=made, held=held)
    assert kueue_slices.release(static, "job").apart == 2
    assert kueue_slices.release(recording(*events[:1], held=held), "job") == kueue_slices.Release("job", None, None)


def test_usage_that_is_not_what_slices_cost_is_found() -> None:
    """Red when quota may be in use without a slice, a slice without quota, or an allocation without a slice."""
    made = [row(1, MADE), row(1, COMPUTE, uuid=A)]

    def told(usage: int, *uuids: str, slicer: str = "dra") -> list[str]:
        held = [{"pod": "p", "uuid": one} for one in uuids]
        rest = {"now": {"slices": [], "allocated": held, "cdi": [], "pods": [], "usage": {"credits": usage}}}
        seen = recording(slicer=slicer, silicon=made, rest=rest, marks={"now": 5 * SECOND})
        return kueue_slices.usage_findings(seen, "now", SLOTS)

    assert told(20) == []
    assert told(25) == ["25 credits are told at 'now', slices in use cost 20"]
    assert told(0) == ["0 credits are told at 'now', slices in use cost 20"]
    assert told(20, A, slicer="device-plugin") == told(0, slicer="device-plugin") == []
    assert told(0, B, slicer="device-plugin") == [f"{B} is in use and does not exist"]


def test_slices_that_cost_more_than_the_quota_are_found() -> None:
    """Red when two jobs may run at once on the quota of one, or when one after the other is reported."""
    held = {"job-pod": {"main": [A]}, "other-pod": {"main": [B]}}
    first = [pod(2, "Running", node=True), pod(6, "Succeeded", node=True)]

    def found(begun: float) -> list[str]:
        seen = recording(*first, pod(begun, "Running", node=True, job="other"), held=held, quotas={"credits": 20})
        return kueue_slices.beyond_quota_findings(seen, SLOTS)

    assert found(7) == []
    assert found(4) == ["40 credits run on slices when other begins, the quota is 20"]
