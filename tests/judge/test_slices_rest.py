"""Judges of slices at rest, on recordings made by hand: each rule is broken once and must be found in words."""

from __future__ import annotations

from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording

SECOND = 1_000_000_000
A, B = "MIG-a", "MIG-b"


def rest(*slices: str, held: dict[str, str] | None = None, cdi: list[str] | None = None, pods: str = "") -> Manifest:
    """A note of what exists; `held` maps UUIDs to pods, CDI devices are those unless given."""
    booked = held or {}
    return {
        "slices": list(slices), "allocated": [{"pod": pod, "uuid": uuid} for uuid, pod in booked.items()],
        "cdi": list(booked) if cdi is None else cdi, "pods": pods.split(),
    }  # fmt: skip


def pod(name: str, at: float, phase: str = "Pending", *, node: bool = False, gone: bool = False) -> Manifest:
    """A version of a pod that asks for a 3g.20gb, `at` seconds after the origin."""
    resources = {"limits": {"nvidia.com/mig-3g.20gb": "1"}}
    spec: Manifest = {"containers": [{"name": "main", "resources": resources}]} | ({"nodeName": "n"} if node else {})
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(int(at * 10))}
    shown = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}
    return {"at": int(at * SECOND), "type": "DELETED" if gone else "MODIFIED", "object": shown}


def row(at: float, kind: str, start: int = 0, uuid: str = "", name: str = "3g.20gb") -> Manifest:
    """Something that happened on GPU 0: `start` doubles as the instance's id."""
    where = {"node": "t", "gpu": 0, "gpu_instance": start, "start": start, "size": 4}
    return {"at": int(at * SECOND), "kind": kind, "uuid": uuid, "name": name, **where}


def made(at: float, start: int, uuid: str) -> list[Manifest]:
    """A slice is made."""
    return [row(at, slices_seen.MADE, start), row(at, slices_seen.COMPUTE, start, uuid)]


def recording(slicer: str = "dra", *, ended: float = 100, **parts: Any) -> SlicesRecording:
    """A recording of one GPU; `parts` are its notes, and the lines of `events` and `silicon`."""
    events, silicon = parts.pop("events", []), parts.pop("silicon", [])
    meta = RecordingMeta(
        scenario="s", ended_ns=int(ended * SECOND), notes={"slicer": slicer, "gpus": ["a100-40gb"], **parts}
    )
    return SlicesRecording.of_parts(meta, events=events, silicon=silicon)


def test_books_that_agree_have_no_findings() -> None:
    """Red when a lawful state is reported, of either kind of slicer."""
    begin, now = rest(A, B), rest(A, B, held={A: "p"})
    assert slices_rest.books_findings(recording("device-plugin", rest={"begin": begin, "now": now}), "now", 1) == []
    now = rest(A, held={A: "p"})
    assert slices_rest.books_findings(recording(rest={"now": now}), "now", 1) == []


def test_a_wrong_number_of_allocations_is_found() -> None:
    """Red when fewer slices may be allocated than were asked for."""
    found = slices_rest.books_findings(recording(rest={"now": rest(A, held={A: "p"})}), "now", 2)
    assert found == ["1 slices are allocated at 'now', expected 2"]


def test_what_disagrees_with_the_silicon_is_found() -> None:
    """Red when an allocation, a slice or a CDI device may stand alone."""
    stale = recording(rest={"now": rest(A, held={B: "p"}, cdi=[])})
    found = slices_rest.books_findings(stale, "now", 1)
    assert {f"slice {A} has no claim", f"claim {B} has no slice", f"slice {A} has no CDI device"} <= set(found)
    ghost = recording("device-plugin", rest={"begin": rest(A), "now": rest(A, held={B: "p"})})
    assert slices_rest.books_findings(ghost, "now", 1) == [f"{B} is allocated, but not a slice or not once"]
    moved = recording("device-plugin", rest={"begin": rest(A), "now": rest(B)})
    assert slices_rest.books_findings(moved, "now", 0) == [f"slice {A} is gone", f"slice {B} has appeared"]


def test_whatever_is_left_is_found() -> None:
    """Red when a pod, a slice, a claim or a CDI device may be left, or a static slice may go."""
    left = rest(A, held={A: "p"}, pods="p")
    ran = [pod("p", 1), pod("p", 2, "Running", node=True)]
    assert slices_rest.left_findings(recording(events=ran, rest={"end": left})) == [
        "pod p is still there", f"slice {A} is left", "claim of p is left", f"CDI device {A} is left",
    ]  # fmt: skip
    assert slices_rest.left_findings(recording(events=ran, rest={"end": rest()})) == []
    static = recording("device-plugin", events=ran, rest={"begin": rest(A), "end": rest(B)})
    assert slices_rest.left_findings(static) == [f"slice {A} is gone", f"slice {B} has appeared"]
    assert slices_rest.left_findings(static, fresh=True) == []


def test_where_nothing_ever_was_nothing_is_judged() -> None:
    """Red when a dead system leaves nothing, mixes nothing up, and lets nobody wait, and is believed."""
    for slicer in ("dra", "device-plugin"):
        for events in ([], [pod("p", 1)]):
            dead = recording(slicer, events=events, rest={"begin": rest(), "now": rest(), "end": rest()})
            assert slices_rest.left_findings(dead) == ["no pod ever ran: that nothing is left of one proves nothing"]
            assert slices_rest.mixed_up_findings(dead, "now") == ["the books give no slice to any pod at 'now'"]
            assert slices_seen.findings(dead) == ["no pod was told of a slice: nothing is judged"]
            (told,) = slices_rest.idle_findings(dead, 5)
            assert "cannot be told" in told
    course = [pod("p", 1), pod("p", 2, "Running", node=True)]
    books = {"now": rest(A, held={A: "p"})}
    silent = recording(events=course, held={"p": {"main": []}}, silicon=made(1, 0, A), rest=books)
    assert slices_rest.mixed_up_findings(silent, "now") == [
        "pod p has a slice by the books, and its containers were told of none"
    ]
    told = recording(events=course, held={"p": {"main": [A]}}, silicon=made(1, 0, A), rest=books)
    assert slices_rest.mixed_up_findings(told, "now") == slices_seen.findings(told) == []


def test_a_mix_up_and_a_shared_slice_are_found() -> None:
    """Red when a container may be told the slice of another pod."""
    course = [pod("p", 1), pod("p", 2, "Running", node=True), pod("q", 1), pod("q", 2, "Running", node=True)]
    held = {"p": {"main": [A]}, "q": {"main": [A]}}
    found = slices_rest.mixed_up_findings(
        recording(events=course, held=held, rest={"now": rest(A, B, held={A: "p", B: "q"})}), "now"
    )
    assert found == [f"pod q was given {A}, which is p's", f"pods p and q ran at the same time on {A}"]


def test_a_pod_that_waits_for_nothing_is_found() -> None:
    """Red when a pod may wait beside a free place, or when one that waits for a full GPU is reported."""
    full = [*made(1, 0, A), *made(1, 4, B)]
    waits = [pod("p", 2), pod("p", 30, node=True)]
    assert slices_rest.idle_findings(recording(events=waits, silicon=full), 5) == []
    freed = [*full, row(10, slices_seen.DESTROYED, 4)]
    assert slices_rest.idle_findings(recording(events=waits, silicon=freed), 5) == [
        "pod p waited 20.0 s although a 3g.20gb was free"
    ]
    assert slices_rest.idle_findings(recording(events=waits, silicon=freed), 25) == []
    never = recording(events=[pod("p", 2)], silicon=made(1, 0, A), ended=50)
    assert slices_rest.idle_findings(never, 5) == ["pod p waited 48.0 s although a 3g.20gb was free"]


def test_a_pod_that_waits_for_a_static_slice_in_use_is_not_idle() -> None:
    """Red when slices that pods hold count as free, or those of pods that have ended as taken."""
    holder = [pod("h", 2, "Running", node=True), pod("h", 20, "Succeeded", node=True)]
    waits = [pod("p", 3), pod("p", 40, node=True)]
    seen = recording("device-plugin", events=[*holder, *waits], silicon=made(1, 0, A))
    assert slices_rest.idle_findings(seen, 21) == []
    assert slices_rest.idle_findings(seen, 19) == ["pod p waited 20.0 s although a 3g.20gb was free"]


def test_a_reboot_takes_all_slices() -> None:
    """Red when slices from before a reboot count as standing, or as destroyed under their pods."""
    reboot = row(9, "written-by-test", name="reboot")
    course = [pod("p", 2, "Running", node=True), pod("p", 30, "Running", node=True)]
    seen = recording(
        events=course, silicon=[*made(1, 0, A), reboot], held={"p": {"main": [A]}}, marks={"reboot": 8 * SECOND}
    )
    assert [one.made for one in slices_seen.changes(seen)] == [True, False]
    assert slices_seen.findings(seen) == []


def _deleted(event: dict[str, Any]) -> dict[str, Any]:
    event["object"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return event


def test_survivors_ran_from_before_a_moment_until_they_were_deleted() -> None:
    """Red when a pod survives that ended by itself, even if that was seen late, was gone before, or began later."""
    course = [
        pod("kept", 2, "Running", node=True), _deleted(pod("kept", 20, "Running", node=True)),
        _deleted(pod("kept", 21, "Failed", node=True)), pod("late", 12, "Running", node=True),
        pod("lost", 2, "Running", node=True), pod("lost", 11, "Failed", node=True),
        pod("gone", 2, "Running", node=True), _deleted(pod("gone", 8, "Running", node=True)),
        pod("gone", 9, "Failed", node=True),
    ]  # fmt: skip
    held = {name: {"main": [A]} for name in ("kept", "late", "lost", "gone")}
    seen = recording(events=course, held=held, marks={"m": 10 * SECOND})
    assert [one.pod for one in slices_rest.surviving(seen, "m")] == ["kept"]


def test_the_same_slices_are_the_same_and_some() -> None:
    """Red when another slice, or none at all, passes for the same."""
    assert slices_rest.same_slices([A, B], [B, A])
    assert not slices_rest.same_slices([A], [B])
    assert not slices_rest.same_slices([], [])


def test_a_container_may_end_in_the_second_in_which_it_began() -> None:
    """Red when the whole seconds of Kubernetes make a slice that was freed after its container look like a lost one."""
    ended = {"main": {"name": "main", "state": {"terminated": {"finishedAt": "1970-01-01T00:00:10Z"}}}}
    events = [pod("p", 9, node=True), pod("p", 10.3, "Running"), pod("p", 13.8, "Failed")]
    events[-1]["object"]["status"]["containerStatuses"] = list(ended.values())
    freed = [*made(9.5, 0, A), row(13.5, slices_seen.DESTROYED)]
    assert slices_seen.findings(recording(events=events, silicon=freed, held={"p": {"main": [A]}})) == []
    del events[-1]["object"]["status"]["containerStatuses"]
    lost = slices_seen.findings(recording(events=events, silicon=freed, held={"p": {"main": [A]}}))
    assert lost == ["pod p lost MIG-a while it ran"]


def test_a_slice_is_free_when_the_containers_have_ended() -> None:
    """Red when a pod counts as running after its containers, or no longer while one of them is started again."""
    done = [{"name": "main", "state": {"terminated": {"finishedAt": "1970-01-01T00:00:12Z"}}}]
    again = [{"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    first = [pod("a", 9, node=True), pod("a", 10, "Running"), pod("a", 13, "Running"), pod("a", 20, "Succeeded")]
    first[2]["object"]["status"]["containerStatuses"] = done
    second = [pod("b", 14, node=True), pod("b", 15, "Running")]
    held = {"a": {"main": [A]}, "b": {"main": [A]}}
    silicon = made(8, 0, A)
    assert slices_seen.findings(recording(events=[*first, *second], silicon=silicon, held=held)) == []
    restarted = pod("a", 16, "Running")
    restarted["object"]["status"]["containerStatuses"] = again
    found = slices_seen.findings(recording(events=[*first[:3], restarted, *second], silicon=silicon, held=held))
    assert found == ["pods a and b ran at the same time on MIG-a"]
