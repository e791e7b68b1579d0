"""Doctored recordings that lack something, or hold too much, against their other witnesses."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.platform.judge_recording import admission_findings, invented, life_findings, unseen
from gpuassay.systems.platform.readings import PlatformRecording
from tests.record.parts import audit, conditions, event, log, meta

EVENTS = [
    event(100, "ADDED", "Workload", "w", 1, conditions=conditions(QuotaReserved="False")),
    event(200, "MODIFIED", "Workload", "w", 2, conditions=conditions(QuotaReserved="True")),
    event(300, "MODIFIED", "Workload", "w", 3, conditions=conditions(QuotaReserved="True", Admitted="True")),
]
WRITES = [
    audit(90, "create", "workloads", "w", 201),
    audit(190, "patch", "workloads", "w"),
    audit(290, "patch", "workloads", "w"),
]
ADMITTED = log(
    "Workload assumed in the cache", 1, workload={"name": "w", "namespace": "ns"}, clusterQueue={"name": "q"}
)


def of(
    events: list[Manifest], writes: list[Manifest] = WRITES, lines: list[Manifest] | None = None
) -> PlatformRecording:
    return PlatformRecording.of_parts(meta(), events=events, audit=writes, log=[ADMITTED] if lines is None else lines)


def test_a_whole_recording_agrees_with_all() -> None:
    whole = of(EVENTS)
    assert unseen(whole) == invented(whole) == admission_findings(whole, 1) == []


def test_a_lost_object_is_found_as_lost_and_not_as_invented() -> None:
    lost = of(EVENTS, [*WRITES, audit(150, "create", "workloads", "v", 201)])
    assert len(unseen(lost)) == 1 and invented(lost) == []


def test_an_event_too_many_is_found_as_invented_and_not_as_lost() -> None:
    extra = of([*EVENTS, event(400, "MODIFIED", "Workload", "w", 4)])
    assert len(invented(extra)) == 1 and unseen(extra) == []


def test_without_an_audit_log_nothing_is_proved() -> None:
    assert unseen(of(EVENTS, [])) and invented(of(EVENTS, []))


OTHERS = [event(1, "ADDED", "Workload", "w", 1), event(2, "ADDED", "Pod", "p", 1)]


def life(*events: Manifest) -> list[str]:
    return life_findings(of([*events, *OTHERS]), ["j"])


BORN = event(1, "ADDED", "Job", "j", 1, spec={"suspend": True})
RUNS = event(2, "MODIFIED", "Job", "j", 2, spec={"suspend": False})
ENDS = event(3, "MODIFIED", "Job", "j", 3, spec={"suspend": False}, conditions=conditions(Complete="True"))


def test_a_whole_life_is_fine() -> None:
    assert life(BORN, RUNS, ENDS) == []
    without = life_findings(of([BORN, RUNS, ENDS]), ["j"])
    assert without == [f"{kind}: expected to be recorded, seen none" for kind in ("Workload", "Pod")]


@pytest.mark.parametrize(
    ("events", "part"),
    [
        ([], "seen nothing of it"),
        ([RUNS, ENDS], "begin ADDED"),
        ([BORN, RUNS], "complete in the end"),
        ([BORN], "seen running"),
        ([BORN, ENDS, RUNS | {"at": ENDS["at"] + 1}], "rising versions"),
        ([BORN, RUNS, RUNS, ENDS], "rising versions"),
    ],
)
def test_a_life_with_a_hole_is_found(events: list[Manifest], part: str) -> None:
    assert any(part in one for one in life(*events))


def test_admissions_must_agree() -> None:
    assert admission_findings(of(EVENTS, lines=[ADMITTED, ADMITTED]), 1) == [
        "Workload ns/w: 2 admissions in the log, 1 in the watch"
    ]
    assert admission_findings(of(EVENTS[:1]), 0) == ["Workload ns/w: 1 admissions in the log, 0 in the watch"]
    assert admission_findings(of(EVENTS), 2) == ["expected 2 admissions, seen 1 in the watch"]
    assert admission_findings(of(EVENTS, lines=[]), 1) == ["there is no log of Kueue to compare with"]
