"""The audit log as a witness against the recording."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.record.audit import audit_findings
from gpuassay.record.recording import Recording
from tests.record.parts import START, audit, event, meta

EVENTS = [
    event(100, "ADDED", "Workload", "w", 1),
    event(200, "MODIFIED", "Workload", "w", 2),
    event(300, "DELETED", "Workload", "w", 3),
]
WRITES = [
    audit(99, "create", "workloads", "w", 201),
    audit(199, "patch", "workloads", "w", sub="status"),
    audit(299, "delete", "workloads", "w"),
]


def findings(events: list[Manifest], writes: list[Manifest], **more: object) -> list[str]:
    return audit_findings(Recording.of_parts(meta(**more), events=events, audit=writes))


def test_a_full_account_has_no_findings() -> None:
    assert findings(EVENTS, WRITES) == []


def test_a_no_op_patch_explains_a_line_too_many() -> None:
    assert findings(EVENTS, [*WRITES, audit(250, "patch", "workloads", "w", sub="status")]) == []


def test_a_create_without_an_event_is_a_loss() -> None:
    lost = [*WRITES, audit(150, "create", "workloads", "v", 201)]
    assert findings(EVENTS, lost) == ["Workload ns/v: 1 audited writes but no event at all"]


def test_creates_too_many_of_one_object_are_a_loss() -> None:
    lost = [WRITES[0], audit(150, "create", "workloads", "w", 201), audit(160, "create", "workloads", "w", 201)]
    assert findings(EVENTS[:1], lost) == [
        "Workload ns/w: 3 audited creates but 1 seen",
        "Workload ns/w: 2 audited writes without an event, 0 of them explained",
    ]


def test_a_lost_create_is_not_taken_for_a_no_op() -> None:
    lost = [*WRITES, audit(250, "patch", "workloads", "w"), audit(260, "patch", "workloads", "w")]
    assert findings(EVENTS, lost) == []
    assert findings(EVENTS[1:], lost) == ["Workload ns/w: 1 audited creates but 0 seen"]


def test_an_event_without_a_write_is_invented() -> None:
    assert findings(EVENTS, WRITES[:2]) == ["Workload ns/w: 3 events but 2 audited writes"]


def test_refused_dry_and_unfinished_writes_do_not_count() -> None:
    extra = [
        audit(210, "update", "workloads", "w", 409),
        audit(220, "create", "workloads", "refused", 403),
        {**audit(230, "create", "workloads", "dry", 201), "requestURI": "/apis/x?dryRun=All"},
        {**audit(240, "create", "workloads", "begun", 201), "stage": "RequestReceived"},
        audit(250, "create", "configmaps", "other", 201),
        audit(260, "get", "workloads", "w"),
    ]
    assert findings(EVENTS, [*WRITES, *extra]) == []


def test_pods_of_controllers_are_created_without_a_name() -> None:
    pods = [event(100, "ADDED", "Pod", "p-1", 1), event(120, "MODIFIED", "Pod", "p-1", 2)]
    writes = [audit(99, "create", "pods", "", 201), audit(119, "create", "pods", "p-1", 201, sub="binding")]
    assert findings(pods, writes) == []
    twice = [*pods, event(101, "ADDED", "Pod", "p-2", 3)]
    assert findings(twice, writes) == ["Pod ns/p-2: 1 events but 0 audited writes"]


def test_a_swept_namespace_deletes_without_names() -> None:
    assert findings(EVENTS, [*WRITES[:2], audit(299, "deletecollection", "workloads", "")]) == []


def test_only_the_scenarios_own_time_counts() -> None:
    early = audit(-500, "create", "workloads", "before", 201)
    late = audit(20_000, "create", "workloads", "after", 201)
    assert findings(EVENTS, [early, *WRITES, late]) == []
    just_before_the_end = audit(9_999, "patch", "workloads", "w")
    assert findings(EVENTS, [*WRITES, just_before_the_end]) == []


def test_a_gap_is_a_finding() -> None:
    gap: Manifest = {"at": START, "type": "GAP", "kind": "Pod", "from": 3, "to": 9, "reason": "cut"}
    assert findings([*EVENTS, gap], WRITES) == [
        "Pod: the recorder may have missed changes between versions 3 and 9: cut"
    ]


def test_an_empty_audit_log_proves_nothing() -> None:
    assert findings(EVENTS, []) == ["the audit log has no write in the scenario's time: nothing could be checked"]
