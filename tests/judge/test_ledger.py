"""The ledger of pods: sound recordings pass, pods without quota and quota without pods are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge import ledger
from gpuassay.systems.kueue.judge.gates import ADMISSION_GATE
from gpuassay.systems.kueue.judge.invariants import timed, untimed
from gpuassay.systems.kueue.readings import KueueRecording
from tests.judge.rests import holding, wanting
from tests.record.parts import MS, START, conditions, meta

SECOND = 1000


def owned(workload: Manifest, *, kind: str = "Job", owner: str = "job") -> Manifest:
    """The Workload of a Job, or of a pod."""
    made = copy.deepcopy(workload)
    made["metadata"] |= {"ownerReferences": [{"kind": kind, "name": owner, "uid": f"u-{owner}", "controller": True}]}
    return made


def pod(
    name: str, phase: str = "Running", *, gate: bool = False, gpus: int = 1, owner: str = "job", **more: Any
) -> Any:
    """A pod of the Job; `more`: of its metadata."""
    resources = {"limits": {GPU: str(gpus)}, "requests": {GPU: str(gpus)}}
    spec: Manifest = {"containers": [{"name": "main", "resources": resources}]}
    if gate:
        spec["schedulingGates"] = [{"name": ADMISSION_GATE}]
    metadata = {
        "name": name, "namespace": "ns", "labels": {ledger.POD_SET: "main"},
        "ownerReferences": [{"kind": "Job", "name": owner, "uid": f"u-{owner}"}],
    } | more  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


def job(*, ended: bool = False) -> Manifest:
    """The Job."""
    status = {"conditions": conditions(Complete="True")} if ended else {}
    return {"kind": "Job", "metadata": {"name": "job", "namespace": "ns", "uid": "u-job"}, "spec": {}, "status": status}


def told(*events: tuple[float, str, Manifest], rest: bool = True, profile: str = "default") -> KueueRecording:
    """A recording of events at seconds."""
    lines: list[Manifest] = []
    for index, (at, change, obj) in enumerate(events, 1):
        metadata = obj["metadata"] | {"resourceVersion": str(index)}
        metadata.setdefault("uid", f"{obj['kind']}-{metadata['name']}")
        lines.append({"at": START + int(at * SECOND) * MS, "type": change, "object": obj | {"metadata": metadata}})
    about: RecordingMeta = meta(notes={"at_rest": rest}, ended_ns=START + 100 * SECOND * MS, profile=profile)
    return KueueRecording.of_parts(about, events=lines)


HELD = owned(holding("w", count=2))
WAITS = owned(wanting("w", count=2))
ADD, MODIFY, DELETE = "ADDED", "MODIFIED", "DELETED"


@pytest.mark.parametrize(
    "events",
    [
        [(1, ADD, HELD), (2, ADD, job()), (3, ADD, pod("a")), (3, ADD, pod("b"))],
        [(1, ADD, pod("a")), (3, ADD, HELD), (3, ADD, job())],  # the streams lie apart
        [
            (1, ADD, HELD),
            (2, ADD, pod("a")),
            (2, ADD, pod("b")),
            (3, MODIFY, pod("a", "Succeeded")),
            (3, ADD, pod("c")),
        ],
        [(1, ADD, WAITS), (2, ADD, pod("a", "Pending", gate=True))],
        [(1, ADD, HELD), (2, ADD, pod("a")), (8, MODIFY, WAITS), (8, MODIFY, pod("a", deletionTimestamp="x"))],
        [(1, ADD, pod("a", "Pending", gate=True, labels={ledger.GROUP: "g"}, annotations={ledger.TOTAL: "2"}))],
    ],
)
def test_sound_courses_pass(events: list[tuple[float, str, Manifest]]) -> None:
    """Red when a sound course is refused."""
    recording = told(*events)
    assert ledger.findings(recording) == [] and ledger.charge_findings(recording) == []


@pytest.mark.parametrize(
    ("events", "finding"),
    [
        (
            [(1, ADD, HELD), (2, ADD, pod("a")), (2, ADD, pod("b")), (2, ADD, pod("c"))],
            "3 pods run of Workload w, which",
        ),
        ([(1, ADD, WAITS), (2, ADD, pod("a"))], "1 pods run of Workload w, which holds quota for 0"),
        ([(1, ADD, HELD), (2, ADD, pod("a")), (8, MODIFY, WAITS)], "1 pods run of Workload w"),
        ([(1, ADD, HELD), (2, ADD, pod("a")), (3, DELETE, HELD)], "1 pods run of Workload w"),
        (
            [(1, ADD, HELD), (2, ADD, pod("a")), (3, MODIFY, WAITS), (7, MODIFY, pod("a")), (8, MODIFY, HELD)],
            "1 pods run of Workload w",
        ),
        (
            [(1, ADD, HELD), (2, ADD, pod("a", "Pending", gate=True))],
            "pod a is still gated at rest although Workload w",
        ),
        ([(1, ADD, pod("a", "Pending", gate=True, owner="other"))], "pod a is still gated at rest and has no Workload"),
        (
            [(1, ADD, pod("a", "Pending", gate=True, labels={ledger.GROUP: "g"}, annotations={ledger.TOTAL: "1"}))],
            "pod a is still gated at rest and has no Workload",
        ),
        ([(1, ADD, HELD), (1, ADD, job(ended=True))], "Workload w holds quota at rest although Job job ended"),
        ([(1, ADD, HELD), (1, ADD, job()), (2, DELETE, job())], "Workload w holds quota at rest although Job job"),
    ],
)
def test_broken_courses_are_refused(events: list[tuple[float, str, Manifest]], finding: str) -> None:
    """Red when a pod may run without quota, wait for nobody, or quota be held by nobody."""
    found = timed(told(*events))
    assert any(finding in one for one in found), found


def test_only_at_rest() -> None:
    """Red when what is still on its way accuses."""
    assert ledger.findings(told((99, ADD, HELD), (99, ADD, job(ended=True)), rest=False)) == []
    assert ledger.findings(told((99, ADD, WAITS), (99, ADD, pod("a")), rest=False)) == []


def test_a_pod_that_costs_more_than_is_charged_is_refused() -> None:
    """Red when the charge is not held against the pods as they are."""
    sound = told((1, ADD, HELD), (2, ADD, pod("a")))
    dear = told((1, ADD, HELD), (2, ADD, pod("a", gpus=2)))
    assert ledger.charge_findings(sound) == []
    assert untimed(dear) == ["pod a asks for 2 nvidia.com/gpu, Workload w is charged 1 nvidia.com/gpu for each"]
