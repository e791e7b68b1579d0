"""Doctored pods and Workloads that the judge of JobSets and LeaderWorkerSets must see through."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.controlled import began_findings, freed_findings, owned, pods_of
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import conditions, event, meta

ON, DONE = conditions(Admitted="True"), conditions(Admitted="True", Finished="True")
SET, NEXT = "jobset-training-x", "job-next-x"
PODS = ("training-leader-0-0-a", "training-workers-0-0-b")


def _workload(change: str, rv: int, of: list[Manifest] | None = None) -> Manifest:
    made = event(rv, change, "Workload", SET, rv, conditions=of or [])
    made["object"]["metadata"]["ownerReferences"] = [{"kind": "JobSet", "name": "training"}]
    return made


def story(
    *, admitted: int | None = 3, placed: int = 4, phases: tuple[str, ...] = ("Succeeded", "Running"),
    ended: int | None = 8, gone: bool = False, next_one: int | None = 9,
) -> KueueRecording:  # fmt: skip
    """A JobSet of two pods and a Job that waits for it; the numbers are the versions of what happened."""
    made = [_workload("ADDED", 1), event(2, "ADDED", "Workload", NEXT, 2, owner="next")]
    made += [event(2, "ADDED", "Pod", name, 2) for name in (*PODS, "next-c")]
    if admitted is not None:
        made.append(_workload("MODIFIED", admitted, ON))
    made += [
        event(placed, "MODIFIED", "Pod", name, placed, spec={"nodeName": "n"}, status={"phase": phase})
        for name, phase in zip(PODS, phases, strict=True)
    ]
    if ended is not None:
        made.append(_workload("DELETED" if gone else "MODIFIED", ended, ON if gone else DONE))
    if next_one is not None:
        made.append(event(next_one, "MODIFIED", "Workload", NEXT, next_one, conditions=ON))
    return KueueRecording.of_parts(meta(), events=sorted(made, key=lambda one: one["at"]))


def findings(told: KueueRecording) -> list[str]:
    workload = owned(told, "JobSet")
    began = began_findings(workload, pods_of(told, "training"), 2)
    return began + freed_findings(workload, told.timelines("Workload")[NEXT])


@pytest.mark.parametrize("gone", [False, True])
def test_pods_that_wait_and_free_what_they_held_are_fine(gone: bool) -> None:
    assert findings(story(gone=gone)) == []


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (story(admitted=None, ended=None), "was never admitted"),
        (story(admitted=5), "had a node before"),
        (story(phases=("Running", "Pending")), "expected 2 pods that run, seen 1 of 2"),
        (story(ended=None), "neither finished nor went"),
        (story(next_one=None), "which waited for its quota, was never admitted"),
        (story(next_one=6), "was admitted while"),
        (story(next_one=6, gone=True), "was admitted while"),
    ],
)
def test_each_doctored_story_is_found(told: KueueRecording, part: str) -> None:
    assert any(part in one for one in findings(told)), findings(told)


def test_a_set_without_a_workload_is_told() -> None:
    with pytest.raises(LookupError, match="expected one Workload of a LeaderWorkerSet"):
        owned(story(), "LeaderWorkerSet")
