"""The life of a Workload read from recordings made by hand, and the ones that must not be mistaken for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta, Timeline
from gpuassay.systems.kueue.judge import lifecycle
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

SECOND = 1_000_000_000


def entry(kind: str, status: bool, reason: str = "", second: int = 0, message: str = "") -> Manifest:
    """A condition."""
    return {
        "type": kind, "status": str(status), "reason": reason, "message": message,
        "lastTransitionTime": f"2030-01-01T00:00:{second:02}Z",
    }  # fmt: skip


def version(*conditions: Manifest, name: str = "w", **more: Any) -> Manifest:
    """A Workload with these conditions."""
    body = kueue.workload(name, "ns", "lq", [kueue.pod_set()])
    body["metadata"] |= {"uid": f"u-{name}"} | more
    body["status"] = {"conditions": list(conditions)}
    return body


def recording(*objects: Manifest, asked: list[Manifest] | None = None) -> KueueRecording:
    """One event per object, a second and a version apart."""
    lines: list[dict[str, Any]] = []
    for at, obj in enumerate(objects, start=1):
        metadata = {"uid": f"u-{obj['metadata']['name']}"} | obj["metadata"] | {"resourceVersion": str(10 * at)}
        lines.append({"at": at * SECOND, "type": "MODIFIED", "object": obj | {"metadata": metadata}})
    return KueueRecording.of_parts(RecordingMeta(scenario="t"), asked=asked or [], events=lines)


def history(*objects: Manifest) -> Timeline:
    """The history of Workload w."""
    return recording(*objects).timelines("Workload")["w"]


HELD, FREE = entry("QuotaReserved", True), entry("QuotaReserved", False)


def test_a_new_reason_is_no_new_eviction() -> None:
    """Red when one eviction with two reasons in a row counts twice, or two evictions count once."""
    once = history(version(entry("Evicted", True, "A")), version(entry("Evicted", True, "B")))
    assert lifecycle.evictions(once) == ["A"]
    back = version(entry("Evicted", False, "QuotaReserved"))
    twice = history(version(entry("Evicted", True, "A")), back, version(entry("Evicted", True, "A")))
    assert lifecycle.evictions(twice) == ["A", "A"]


def test_quota_that_goes_and_comes_counts_twice() -> None:
    """Red when a second reservation is not seen, or a second look at the first one is."""
    seen = recording(version(FREE), version(HELD), version(HELD), version(FREE), version(HELD))
    assert lifecycle.reserved_at(seen, "w") == [20, 50]
    assert lifecycle.ever_reserved(seen) == {"w"}
    assert lifecycle.ever_reserved(recording(version(FREE))) == set()
    assert lifecycle.reserved_at(seen, "nobody") == []


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_reservations_are_rises(held: list[bool]) -> None:
    """Red when the number of reservations is not the number of times that quota came."""
    seen = recording(*(version(HELD if one else FREE) for one in held))
    rises = [10 * (at + 1) for at, one in enumerate(held) if one and (at == 0 or not held[at - 1])]
    assert lifecycle.reserved_at(seen, "w") == rises
    assert len(lifecycle.flips(seen.timelines("Workload")["w"], "QuotaReserved")) == len(rises)


def test_what_was_seen_at_a_time() -> None:
    """Red when a judge sees the future, or nothing of the past."""
    seen = history(version(FREE), version(HELD))
    assert lifecycle.seen_at(seen, SECOND - 1) is None
    assert lifecycle.reason(seen, "QuotaReserved")[0] == "True"
    early = lifecycle.seen_at(seen, 2 * SECOND - 1)
    assert early is not None and early["status"]["conditions"] == [FREE]
    late = lifecycle.seen_at(seen, 9 * SECOND)
    assert late is not None and late["status"]["conditions"] == [HELD]


def test_the_end_and_its_time() -> None:
    """Red when an unfinished Workload counts as finished, or the transition time is not the object's own."""
    seen = recording(version(HELD), version(HELD, entry("Finished", True, "Failed", second=7)))
    assert lifecycle.finished_at(seen, "w") == 20
    assert lifecycle.finished_at(recording(version(HELD)), "w") is None
    assert lifecycle.finished_at(seen, "nobody") is None
    ended = lifecycle.became_at(seen.timelines("Workload")["w"], "Finished")
    assert ended is not None and ended.second == 7
    assert lifecycle.became_at(history(version(FREE)), "Finished") is None
    assert lifecycle.reason(None, "Finished") == ("absent", "", "")


def test_a_message_counts_only_while_the_condition_is_false() -> None:
    """Red when a refusal is read out of a condition that holds, or out of nothing."""
    why = entry("QuotaReserved", False, "Pending", message="resource x unavailable")
    assert lifecycle.told(history(version(why)), "QuotaReserved", "x unavailable")
    assert not lifecycle.told(history(version(why | {"status": "True"})), "QuotaReserved", "x unavailable")
    assert not lifecycle.told(None, "QuotaReserved", "x")


def test_a_workload_is_found_by_its_owner_and_by_its_name() -> None:
    """Red when the Workload of a job is taken from another job."""
    owned = version(name="job-a-1", ownerReferences=[{"kind": "Job", "name": "a", "uid": "u"}])
    seen = recording(owned, version(name="b"))
    names = {name: one and one.name for name in ("a", "b", "c") for one in [lifecycle.workload_of(seen, name)]}
    assert names == {"a": "job-a-1", "b": "b", "c": None}


@pytest.mark.parametrize(("suspend", "runs"), [(True, False), (False, True), (None, True)])
def test_a_job_runs_unless_it_is_suspended(suspend: bool | None, runs: bool) -> None:
    """Red when a suspended job counts as running; a Job without the field runs."""
    job = core.job("a", "ns", "lq", nodeSelector={"k": "v"})
    job["spec"]["suspend"] = suspend
    assert lifecycle.running(job) is runs
    assert not lifecycle.running(None)
    assert lifecycle.node_selector(job) == {"k": "v"} and lifecycle.node_selector({}) == {}


def test_only_what_was_asked_is_an_oracle() -> None:
    """Red when a judge gets an object that the scenario never asked for."""
    seen = recording(asked=[core.job("a", "ns", "lq")])
    assert lifecycle.asked(seen, "Job", "a")["kind"] == "Job"
    with pytest.raises(LookupError, match="never asked for Job b"):
        lifecycle.asked(seen, "Job", "b")


def test_what_admission_says() -> None:
    """Red when the admitted number or the charge is read from the request instead of the admission."""
    body = version()
    assert lifecycle.assigned_count(body) == 0 and lifecycle.usage(body) == {}
    body["status"]["admission"] = {"podSetAssignments": [{"name": "main", "count": 3, "resourceUsage": {"cpu": "1"}}]}
    assert lifecycle.assigned_count(body) == 3 and lifecycle.usage(body) == {"cpu": "1"}
