"""What a node offers before and after an upgrade of its slicer: less must be seen, whoever offers it."""

from __future__ import annotations

from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge.offers import lost_findings, offered
from gpuassay.systems.slices.readings import SlicesRecording

BEFORE, AFTER = 1_000, 2_000


def _object(kind: str, name: str, **more: Any) -> Manifest:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, "uid": name, "resourceVersion": "1"}} | more


def _recording(slicer: str, *lines: tuple[int, str, Manifest]) -> SlicesRecording:
    meta = RecordingMeta("s", notes={"node": "n", "slicer": slicer})
    return SlicesRecording.of_parts(meta, events=[{"at": at, "type": kind, "object": obj} for at, kind, obj in lines])


def _node(count: int, name: str = "n") -> Manifest:
    return _object("Node", name, status={"allocatable": {"cpu": "4", "nvidia.com/mig-1g.5gb": str(count)}})


def _published(*devices: str, name: str = "slice", node: str = "n") -> Manifest:
    return _object("ResourceSlice", name, spec={"nodeName": node, "devices": [{"name": one} for one in devices]})


def test_resources_that_come_back_are_no_finding() -> None:
    sound = _recording(
        "device-plugin", (1, "ADDED", _node(4)), (1_500, "MODIFIED", _node(0)), (1_900, "MODIFIED", _node(4))
    )
    assert offered(sound, BEFORE) == {"nvidia.com/mig-1g.5gb": 4}
    assert lost_findings(sound, BEFORE, AFTER) == []


def test_resources_that_stay_away_are_found() -> None:
    for left in (0, 3):
        less = _recording("device-plugin", (1, "ADDED", _node(4)), (1_500, "MODIFIED", _node(left)))
        assert lost_findings(less, BEFORE, AFTER) == [
            f"nvidia.com/mig-1g.5gb: 4 were offered before, {left} afterwards"
        ]


def test_another_node_does_not_count() -> None:
    other = _recording(
        "device-plugin", (1, "ADDED", _node(4)), (1_500, "MODIFIED", _node(0)), (1_600, "ADDED", _node(4, "other"))
    )
    assert lost_findings(other, BEFORE, AFTER)


def test_nothing_offered_before_is_found() -> None:
    assert lost_findings(_recording("device-plugin"), BEFORE, AFTER) == ["the node offered nothing before"]


def test_devices_that_a_driver_does_not_publish_again_are_found() -> None:
    sound = _recording(
        "dra", (1, "ADDED", _published("a", "b")), (1_500, "DELETED", _published("a", "b")),
        (1_600, "ADDED", _published("a", "b", "c", name="new")),
    )  # fmt: skip
    assert lost_findings(sound, BEFORE, AFTER) == []
    gone = _recording("dra", (1, "ADDED", _published("a", "b")), (1_500, "DELETED", _published("a", "b")))
    assert len(lost_findings(gone, BEFORE, AFTER)) == 2
    fewer = _recording("dra", (1, "ADDED", _published("a", "b")), (1_500, "MODIFIED", _published("a")))
    assert lost_findings(fewer, BEFORE, AFTER) == ["b: 1 were offered before, 0 afterwards"]
