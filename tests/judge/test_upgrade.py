"""The judge of upgrades must see each harm that one can do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.facts import Attempt
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge import upgrade
from gpuassay.systems.kueue.notes import BrokenOff
from gpuassay.systems.kueue.readings import KueueRecording

BEGUN, ENDED = 1_000, 2_000


def _line(at: int, obj: Manifest, type: str = "MODIFIED") -> Manifest:
    return {"at": at, "type": type, "object": obj}


def _object(kind: str, name: str, **more: Any) -> Manifest:
    metadata: Manifest = {"name": name, "uid": f"{kind}-{name}", "resourceVersion": "1"}
    if kind in {"Workload", "Pod"}:
        metadata |= {"namespace": "ga", "ownerReferences": [{"kind": "Job", "name": "steady", "uid": "job"}]}
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata} | more


def _workload(since: str = "10:00", *, admitted: bool = True, evicted: bool = False) -> Manifest:
    conditions = [
        {"type": "Admitted", "status": str(admitted), "reason": "x", "lastTransitionTime": since},
        {"type": "Evicted", "status": str(evicted), "reason": "x", "lastTransitionTime": since},
    ]
    return _object("Workload", "job-steady", status={"conditions": conditions})


def _pod(phase: str = "Running", name: str = "steady-0", **metadata: Any) -> Manifest:
    made = _object("Pod", name, status={"phase": phase})
    made["metadata"] |= metadata
    return made


def _queue(**spec: Any) -> Manifest:
    return _object("ClusterQueue", "large", spec={"cohortName": "c", "groups": [{"quota": "6"}]} | spec)


def _recording(*lines: Manifest) -> KueueRecording:
    return KueueRecording.of_parts(RecordingMeta("s", namespaces=["ga"]), events=list(lines))


def test_an_upgrade_that_does_no_harm_has_no_findings() -> None:
    sound = _recording(
        _line(1, _workload(), "ADDED"), _line(2, _pod(), "ADDED"), _line(3, _queue(), "ADDED"),
        _line(1_500, _workload()), _line(1_500, _pod()), _line(1_500, _queue(added="default")),
    )  # fmt: skip
    assert upgrade.lost_quota(sound, BEGUN, ENDED, ["steady"]) == []
    assert upgrade.disturbed_pods(sound, BEGUN, ENDED, 1) == []
    assert upgrade.changed_specs(sound, BEGUN, ENDED) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (_line(1_500, _workload(admitted=False)), "lost its admission"),
        (_line(1_500, _workload(evicted=True)), "lost its admission"),
        (_line(1_500, _workload(since="10:05")), "lost its admission"),  # while no watch looked
        (_line(1_500, _workload(), "DELETED"), "was deleted"),
    ],
)
def test_lost_quota_is_found(after: Manifest, said: str) -> None:
    [found] = upgrade.lost_quota(_recording(_line(1, _workload(), "ADDED"), after), BEGUN, ENDED, ["steady"])
    assert said in found


def test_nothing_recorded_proves_nothing() -> None:
    empty = _recording()
    assert upgrade.lost_quota(empty, BEGUN, ENDED, ["steady"]) == ["steady: no Workload was recorded"]
    assert upgrade.disturbed_pods(empty, BEGUN, ENDED, 1)
    assert upgrade.changed_specs(empty, BEGUN, ENDED)
    assert upgrade.uncounted({}, {})
    late = _recording(_line(1_500, _workload(), "ADDED"))
    assert upgrade.lost_quota(late, BEGUN, ENDED, ["steady"]) == ["steady: was not admitted before the upgrade"]


@pytest.mark.parametrize(
    "after",
    [
        _line(1_500, _pod("Failed")),
        _line(1_500, _pod(), "DELETED"),
        _line(1_500, _pod(deletionTimestamp="now")),
        _line(1_500, _pod("Pending", name="steady-1", uid="new"), "ADDED"),
    ],
)
def test_a_disturbed_pod_is_found(after: Manifest) -> None:
    assert len(upgrade.disturbed_pods(_recording(_line(2, _pod(), "ADDED"), after), BEGUN, ENDED, 1)) == 1


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (_line(1_500, _queue(cohortName=None)), "spec.cohortName was 'c', is None"),
        (_line(1_500, _queue(groups=[{"quota": "0"}])), "spec.groups was"),
        (_line(1_500, _queue(), "DELETED"), "was deleted"),
    ],
)
def test_a_changed_object_is_found(after: Manifest, said: str) -> None:
    [found] = upgrade.changed_specs(_recording(_line(3, _queue(), "ADDED"), after), BEGUN, ENDED)
    assert said in found


def test_other_counts_are_found() -> None:
    before = {"large": {"reservingWorkloads": 2, "pendingWorkloads": 6}}
    after = copy.deepcopy(before)
    assert upgrade.uncounted(before, after) == []
    after["large"]["pendingWorkloads"] = 5
    assert upgrade.uncounted(before, after) == ["large: pendingWorkloads was 6, is 5"]


HALF, STARTED = BrokenOff(0.5, 0), BrokenOff(1, 0.3)
REFUSED = Attempt(False, 500, "InternalError", 'failed calling webhook "mjob.kb.io": connection refused')


def test_refusals_in_the_name_of_the_webhook_are_no_findings() -> None:
    assert upgrade.let_through([HALF, STARTED], {"0": REFUSED, "1": REFUSED}) == []


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Attempt(True), "a Job was taken"),
        (Attempt(False, 403, "Forbidden", "exceeded quota"), "refused with 403, not by Kueue's webhook"),
        (None, "no Job was tried"),
    ],
)
def test_a_job_that_gets_through_a_broken_off_upgrade_is_found(second: Attempt | None, said: str) -> None:
    attempts = {"0": REFUSED} | ({"1": second} if second else {})
    [found] = upgrade.let_through([HALF, STARTED], attempts)
    assert said in found and "100% of the manifests applied, the new manager 0.3 s old" in found
