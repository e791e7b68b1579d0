"""Doctored recordings: invariants must refuse each of them, and let the healthy one pass."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.session import invariants
from gpuassay.systems.kueue.judge.rest import usage_of
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

SECOND = 1_000_000_000


def findings_of(recording: KueueRecording) -> list[str]:
    """Every finding of its invariants."""
    recording.system = "kueue"
    return [*invariants.untimed(recording), *invariants.timed(recording)]


def workload(name: str, *conditions: str, queue: str = "cq", gpus: int = 1, **status: Any) -> Manifest:
    """A Workload of one pod set that holds `gpus` of flavor `gpu`."""
    body = kueue.workload(name, "ns", "lq", [kueue.pod_set(requests={"nvidia.com/gpu": gpus})])
    body["metadata"] |= {"uid": f"uid-{name}", "ownerReferences": [{"kind": "Job", "name": f"job-{name}"}]}
    assignment = {"name": "main", "count": 1, "flavors": {"nvidia.com/gpu": "gpu"}}
    body["status"] = {
        "conditions": [{"type": kind, "status": "True"} for kind in conditions],
        "admission": {
            "clusterQueue": queue,
            "podSetAssignments": [assignment | {"resourceUsage": {"nvidia.com/gpu": str(gpus)}}],
        },
    } | status
    return body


def events(*objects: Manifest) -> list[dict[str, Any]]:
    """One event per object, a second apart; the first of a name is ADDED."""
    seen: set[tuple[str, str]] = set()
    found: list[dict[str, Any]] = []
    for index, obj in enumerate(objects, start=1):
        key = (obj["kind"], obj["metadata"]["name"])
        stamped = copy.deepcopy(obj)
        stamped["metadata"] |= {"resourceVersion": str(index), "uid": obj["metadata"].get("uid", "-".join(key))}
        found.append({"at": index * SECOND, "type": "MODIFIED" if key in seen else "ADDED", "object": stamped})
        seen.add(key)
    return found


def recording(*objects: Manifest, log: list[Manifest] | None = None, **notes: Any) -> KueueRecording:
    """A recording in which one ClusterQueue of two GPUs was asked for."""
    meta = RecordingMeta(scenario="t", notes={"at_rest": True} | notes, ended_ns=(len(objects) + 5) * SECOND)
    asked = [kueue.cluster_queue("cq", [kueue.gpu_group("gpu", 2)])]
    return KueueRecording.of_parts(meta, asked=asked, events=events(*objects), log=log or [])


def queue_status(**counters: int) -> Manifest:
    """The ClusterQueue with counters in its status."""
    held = str(counters["reservingWorkloads"])
    used = [{"name": "gpu", "resources": [{"name": "nvidia.com/gpu", "total": held}]}]
    status = {"flavorsReservation": used, "flavorsUsage": used} | counters
    return kueue.cluster_queue("cq", [kueue.gpu_group("gpu", 2)]) | {"status": status}


def job(name: str, *, suspended: bool) -> Manifest:
    """A queued Job."""
    body = core.job(f"job-{name}", "ns", "lq")
    body["spec"]["suspend"] = suspended
    return body


FULL = ("QuotaReserved", "Admitted")


def test_a_healthy_recording_passes() -> None:
    """Red when invariants refute a sound recording."""
    healthy = recording(
        workload("a"),
        workload("a", *FULL),
        job("a", suspended=False),
        workload("b", *FULL),
        workload("a", *FULL, "Finished"),
        workload("c", *FULL),
        queue_status(reservingWorkloads=2, admittedWorkloads=2),
    )
    assert findings_of(healthy) == []


@pytest.mark.parametrize(
    ("doctored", "finding"),
    [
        (recording(workload("a", *FULL), workload("b", *FULL), workload("c", *FULL)), "quota exceeded: cq holds 3"),
        (recording(workload("a", *FULL, gpus=3)), "quota exceeded: cq holds 3"),
        (recording(workload("a", "Admitted")), "Workload a is Admitted without QuotaReserved"),
        (
            recording(workload("a", *FULL, admissionChecks=[{"name": "check", "state": "Pending"}])),
            "Admitted although checks are not ready: check",
        ),
        (recording(workload("a"), job("a", suspended=False)), "Job job-a was unsuspended without"),
        (recording(job("a", suspended=False)), "Job job-a was unsuspended without"),
        (recording(workload("a", *FULL), job("a", suspended=True)), "Job job-a is still suspended at rest"),
        (
            recording(workload("a", *FULL), job("a", suspended=False), workload("a", "Evicted")),
            "Job job-a still runs at rest",
        ),
        (recording(workload("a", *FULL), queue_status(reservingWorkloads=2, admittedWorkloads=1)), "recount gives 1"),
        (recording(workload("a"), at_rest=False), "never came to rest"),
        (
            recording(log=[{"level": "error", "msg": "Reconciler error", "error": "boom"}]),
            "Kueue logged an error: Reconciler error: boom",
        ),
    ],
)
def test_a_doctored_recording_is_refused(doctored: KueueRecording, finding: str) -> None:
    """Red when a broken invariant goes unseen."""
    assert any(finding in one for one in findings_of(doctored)), findings_of(doctored)


def test_a_gap_is_a_finding() -> None:
    """Red when events may be missing and nobody says so."""
    gap = {"at": 1, "type": "GAP", "from": "1", "to": "9", "kind": "Workload"}
    broken = KueueRecording.of_parts(RecordingMeta(scenario="t"), events=[gap])
    assert any("gap" in one for one in findings_of(broken))


def test_known_noise_in_the_log_is_allowed() -> None:
    """Red when errors that healthy systems log turn runs red."""
    assert findings_of(recording(log=[{"level": "error", "msg": "x", "error": "workloads 'a' already exists"}])) == []


def test_reclaimed_pods_free_their_share() -> None:
    """Red when finished pods of a running job still count."""
    half = workload("a", *FULL, gpus=2, reclaimablePods=[{"name": "main", "count": 1}])
    assert usage_of(half) == {("cq", "gpu", "nvidia.com/gpu"): 0}


def test_a_cohort_holds_no_more_than_its_sum() -> None:
    """Red when borrowing hands out more than the cohort has."""
    queues = [kueue.cluster_queue(name, [kueue.gpu_group("gpu", 1)], cohort="pool") for name in ("cq", "other")]
    over = [workload(name, *FULL) for name in ("a", "b", "c")]
    broken = KueueRecording.of_parts(RecordingMeta(scenario="t"), asked=queues, events=events(*over))
    assert any("cohort pool holds 3" in one for one in findings_of(broken))
