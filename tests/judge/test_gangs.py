"""The judge of gangs must see a gang that starts in part, a control that does not start, and a gang that never does."""

from __future__ import annotations

from typing import Any

from gpuassay import gangs
from gpuassay.labels import GANG
from gpuassay.manifest import Manifest
from gpuassay.record.recording import Recording, RecordingMeta
from gpuassay.systems.kubernetes.versions import pod_groups
from gpuassay.workloads import core

ROOM = 1_000


def _pod(name: str, gang: str, node: str = "") -> Manifest:
    metadata = {"name": name, "uid": name, "namespace": "ga", "resourceVersion": "1", "labels": {GANG: gang}}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"nodeName": node} if node else {}}


def _recording(*lines: tuple[int, Manifest]) -> Recording:
    seen: set[str] = set()
    events: list[dict[str, Any]] = []
    for at, pod in lines:
        name = pod["metadata"]["name"]
        events.append({"at": at, "type": "MODIFIED" if name in seen else "ADDED", "object": pod})
        seen.add(name)
    return Recording.of_parts(RecordingMeta("s", namespaces=["ga"]), events=events)


WAITS = [(one, _pod(f"team-{one}", "team")) for one in range(4)]
START = [(2_000 + one, _pod(f"team-{one}", "team", "node")) for one in range(4)]
CONTROL = [(10 + one, _pod(f"alone-{one}", "alone", "node" if one < 3 else "")) for one in range(4)]


def test_a_gang_that_waits_and_then_starts_has_no_findings() -> None:
    sound = _recording(*WAITS, *CONTROL, *START)
    assert gangs.none_bound(sound, "team", until=ROOM, there=4) == []
    assert gangs.started_partly(sound, "alone", until=ROOM, room=3) == []
    assert gangs.all_bound(sound, "team", size=4) == []


def test_one_pod_that_starts_early_is_seen() -> None:
    partial = _recording(*WAITS, (500, _pod("team-2", "team", "node")), *START)
    [found] = gangs.none_bound(partial, "team", until=ROOM, there=4)
    assert "team-2 had a node" in found


def test_a_pod_that_started_early_and_was_taken_back_is_seen() -> None:
    """Red when only the last state of a pod counts."""
    back = _recording(*WAITS, (500, _pod("team-2", "team", "node")), (600, _pod("team-2", "team")))
    assert gangs.none_bound(back, "team", until=ROOM, there=4)


def test_pods_that_never_were_do_not_count_as_waiting() -> None:
    assert gangs.none_bound(_recording(*WAITS[:3]), "team", until=ROOM, there=4) == ["team: 4 pods were to wait, 3 did"]
    assert gangs.none_bound(_recording(), "team", until=ROOM, there=4)


def test_a_control_that_does_not_start_in_part_is_seen() -> None:
    assert gangs.started_partly(_recording(*CONTROL[2:]), "alone", until=ROOM, room=3)
    all_of_it = [(at, _pod(f"alone-{at}", "alone", "node")) for at in range(4)]
    assert gangs.started_partly(_recording(*all_of_it), "alone", until=ROOM, room=3)


def test_a_gang_that_starts_in_part_or_never_is_seen() -> None:
    assert gangs.all_bound(_recording(*WAITS, *START[:3]), "team", size=4) == [
        "team: 3 of 4 pods had a node in the end"
    ]
    assert gangs.all_bound(_recording(*WAITS), "team", size=4)


def test_members_are_marked_where_pods_come_from() -> None:
    pod = gangs.member("team", core.pod("p", "ga", None))
    job = gangs.member("team", core.job("j", "ga", None, pods=2))
    assert gangs.is_member("team", pod) and not gangs.is_member("other", pod)
    assert job["spec"]["template"]["metadata"]["labels"] == {GANG: "team"}
    assert GANG not in job["metadata"]["labels"]


def test_names_are_those_of_the_release() -> None:
    found = pod_groups("v1.36.2"), pod_groups("1.37.1")
    assert [one.group_version for one in found if one] == ["scheduling.k8s.io/v1alpha2", "scheduling.k8s.io/v1beta1"]
    assert pod_groups("v1.35.8") is None
