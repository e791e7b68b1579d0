"""The live view on spools that the test writes itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.live import SCENARIO_LABEL, LiveView
from gpuassay.record.resources import RecorderError
from gpuassay.record.spool import Spool, gap, stamp, synthetic


class Hand:
    """Plays the recorder: appends to spools and wakes the view."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        read, self._write = os.pipe()
        self.view = LiveView(folder, os.fdopen(read, "rb"))
        self._spools: dict[str, Spool] = {}
        self._rv = 0

    def append(self, kind: str, *lines: bytes) -> None:
        if kind not in self._spools:
            self._spools[kind] = Spool(self._folder, kind, self._wake)
        self._spools[kind].append(*lines)

    def _wake(self, kind: str, size: int) -> None:
        os.write(self._write, f"{kind} {size}\n".encode())

    def put(self, kind: str, name: str, namespace: str = "", change: str = "ADDED", **more: object) -> int:
        """Append an event; returns its version."""
        self._rv += 1
        metadata: Manifest = {"name": name, "uid": f"u-{name}", "resourceVersion": str(self._rv)}
        if namespace:
            metadata["namespace"] = namespace
        if "labels" in more:
            metadata["labels"] = more.pop("labels")
        self.append(kind, synthetic(self._rv, change, {"kind": kind, "metadata": metadata, **more}))
        return self._rv

    def arrived(self, kind: str) -> None:
        rv = self._rv
        self.view.wait(lambda v: v.caught_up(kind, "", rv), what=f"{kind} {rv}", timeout=10)

    def end(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


@pytest.fixture
def hand(tmp_path: Path) -> Generator[Hand]:
    playing = Hand(tmp_path)
    yield playing
    playing.end()
    playing.view.close()


def test_events_go_to_the_scenario_of_their_namespace_or_label(hand: Hand) -> None:
    hand.view.register("one", ["ns-1"])
    hand.view.register("two", ["ns-2"])
    hand.put("Pod", "a", "ns-1")
    hand.put("Pod", "b", "ns-2")
    hand.put("Pod", "c", "elsewhere")
    hand.arrived("Pod")
    hand.put("ClusterQueue", "q1", labels={SCENARIO_LABEL: "one"})
    hand.put("ClusterQueue", "q2", labels={SCENARIO_LABEL: "nobody"})
    hand.put("ClusterQueue", "q1", change="DELETED", labels={SCENARIO_LABEL: "one"})
    hand.arrived("ClusterQueue")
    hand.put("Namespace", "ns-2")
    hand.arrived("Namespace")
    hand.put("Event", "e1", "default", regarding={"kind": "ClusterQueue", "name": "q1"})
    hand.put("Event", "e2", "default", regarding={"kind": "ClusterQueue", "name": "q2"})
    hand.arrived("Event")
    kinds = [(line.kind, line.type) for line in hand.view.lines("one")]
    assert kinds == [("Pod", "ADDED"), ("ClusterQueue", "ADDED"), ("ClusterQueue", "DELETED"), ("Event", "ADDED")]
    assert [line.kind for line in hand.view.lines("two")] == ["Pod", "Namespace"]
    assert [one["metadata"]["name"] for one in hand.view.objects("Pod", token="one")] == ["a"]
    assert [one["metadata"]["name"] for one in hand.view.objects("Pod")] == ["c", "a", "b"]
    assert hand.view.objects("ClusterQueue", token="one") == []
    assert hand.view.get("ClusterQueue", "q2") is not None


def test_an_object_that_names_a_node_goes_to_the_nodes_scenario(hand: Hand) -> None:
    """Red when claims that a slicer keeps in a namespace of its own are lost, or go to every scenario."""
    hand.view.register("one")
    hand.view.register("two")
    hand.put("Node", "n-1", labels={SCENARIO_LABEL: "one"})
    hand.put("Node", "n-2", labels={SCENARIO_LABEL: "two"})
    hand.arrived("Node")
    hand.put("AllocationClaim", "c1", "das-operator", spec={"nodename": "n-1"})
    hand.put("AllocationClaim", "c2", "das-operator", spec={"nodename": "n-2"})
    hand.put("AllocationClaim", "c3", "das-operator", spec={"nodename": "n-3"})
    hand.put("AllocationClaim", "c1", "das-operator", change="DELETED", spec={"nodename": "n-1"})
    hand.arrived("AllocationClaim")
    claims = [line for line in hand.view.lines("one") if line.kind == "AllocationClaim"]
    assert [line.type for line in claims] == ["ADDED", "DELETED"]
    assert len([line for line in hand.view.lines("two") if line.kind == "AllocationClaim"]) == 1


def test_forgetting_a_scenario_frees_it_and_keeps_the_others(hand: Hand) -> None:
    hand.view.register("one", ["ns-1"])
    hand.view.register("two", ["ns-2"])
    hand.put("Pod", "a", "ns-1")
    hand.put("Pod", "b", "ns-2")
    hand.arrived("Pod")
    hand.view.forget("one")
    hand.put("Pod", "late", "ns-1")
    hand.arrived("Pod")
    assert hand.view.lines("one") == []
    assert len(hand.view.lines("two")) == 1
    hand.view.register("three", ["ns-1"])  # the name is free again
    with pytest.raises(ValueError, match="namespace ns-2 already belongs to two"):
        hand.view.register("three", ["ns-2"])


def test_a_gap_concerns_every_scenario_of_its_time(hand: Hand) -> None:
    hand.view.register("one")
    hand.append("Pod", gap(5, "Pod", 1, 9, "cut"))
    hand.view.wait(lambda v: bool(v.gaps("one")), what="the gap", timeout=10)
    hand.view.register("after")
    assert hand.view.gaps("one")[0]["to"] == 9
    assert hand.view.gaps("after") == []


def test_a_half_written_line_is_read_when_it_is_complete(hand: Hand, tmp_path: Path) -> None:
    hand.put("Pod", "a", "ns")
    hand.arrived("Pod")
    line = stamp(
        b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"b","namespace":"ns","resourceVersion":"2"}}}', 7
    )
    with (tmp_path / "Pod.jsonl").open("ab", buffering=0) as spool:
        spool.write(line[:40])
        hand.put("Job", "j", "ns")  # wakes the reader
        hand.arrived("Job")
        assert hand.view.get("Pod", "b", "ns") is None
        spool.write(line[40:] + b"\n")
    hand.put("Job", "k", "ns")
    hand.view.wait(lambda v: v.get("Pod", "b", "ns") is not None, what="b", timeout=10)


def test_a_spool_that_is_no_json_ends_waits_instead_of_hanging_them(hand: Hand) -> None:
    hand.append("Pod", b"{broken")
    with pytest.raises(RecorderError, match="JSONDecodeError"):
        hand.view.wait(lambda _: False, what="nothing", timeout=10)


def test_sixteen_scenarios_wait_at_once(hand: Hand) -> None:
    done: list[str] = []

    def scenario(n: int) -> None:
        hand.view.wait(lambda v: len(v.objects("Pod", token=f"t{n}")) == 20, what=f"pods of {n}", timeout=30)
        done.append(f"t{n}")

    for n in range(16):
        hand.view.register(f"t{n}", [f"ns-{n}"])
    threads = [threading.Thread(target=scenario, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for pod in range(20):
        for n in range(16):
            hand.put("Pod", f"p{pod}", f"ns-{n}")
    for thread in threads:
        thread.join(30)
    assert sorted(done) == sorted(f"t{n}" for n in range(16))
    assert all(len(hand.view.lines(f"t{n}")) == 20 for n in range(16))


def test_nodes_belong_to_every_scenario_from_its_beginning(hand: Hand) -> None:
    """Red when a judge cannot see the node on which its pods ran, or how it stood before."""
    hand.put("Node", "worker", status={"phase": "before"})
    hand.arrived("Node")
    for token in ("first", "second"):
        hand.view.register(token, [f"ns-{token}"])
    hand.put("Node", "worker", change="MODIFIED", status={"phase": "after"})
    hand.arrived("Node")
    for token in ("first", "second"):
        seen = sorted((line.type, line.kind) for line in hand.view.lines(token))
        assert seen == [("ADDED", "Node"), ("MODIFIED", "Node")]
