"""The node ledger of walks over floors: each rule is broken once and must be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.floor_walk import (
    ASKED,
    FOREIGN,
    NODES,
    PLACES,
    Asked,
    Foreign,
    NodeState,
    Place,
    findings,
    news,
)
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from tests.judge.rests import cluster_queue, local_queue
from tests.record.parts import MS, START, conditions, meta

SECOND = 1000
ANY = Asked(1, 2, "unconstrained", "")


def placed(name: str, nodes: Mapping[str, int], *, finished: bool = False) -> Manifest:
    """A Workload with so many pods on each node."""
    made = waits(name)
    slices = [
        {"domainCount": 1, "podCounts": {"universal": pods}, "valuesPerLevel": [{"universal": node}]}
        for node, pods in nodes.items()
    ]
    states = {"QuotaReserved": "True", "Admitted": "True"} | ({"Finished": "True"} if finished else {})
    made["status"] = {
        "conditions": conditions(**states),
        "admission": {
            "clusterQueue": "cq",
            "podSetAssignments": [{"name": "main", "topologyAssignment": {"levels": ["host"], "slices": slices}}],
        },
    }
    return made


def waits(name: str) -> Manifest:
    """A Workload that waits."""
    made = kueue.workload(name, "ns", "lq", [kueue.pod_set()])
    made["status"] = {"conditions": conditions(QuotaReserved="False Pending")}
    return made


def walked(
    *events: tuple[int, Manifest],
    asked: Mapping[str, Asked],
    nodes: Sequence[tuple[int, str, bool, bool]] = (),
    foreign: Sequence[tuple[str, int, int, int]] = (),
) -> KueueRecording:
    """A walk over nodes a1, a2 (rack a) and b1 (rack b) of 4 GPUs each; times in ms."""
    places = {"a1": Place("a", "x", 4), "a2": Place("a", "x", 4), "b1": Place("b", "x", 4)}
    states = [NodeState(START, node, there=True, open=True) for node in places]
    states += [NodeState(START + at * MS, node, there, is_open) for at, node, there, is_open in nodes]
    pods = [
        Foreign(node, gpus, START + since * MS, until and START + until * MS) for node, gpus, since, until in foreign
    ]
    lines: list[Manifest] = []
    for number, (at, obj) in enumerate([(0, cluster_queue(100)), (0, local_queue()), *events]):
        body = obj | {
            "metadata": obj["metadata"] | {"resourceVersion": str(number + 1), "uid": obj["metadata"]["name"]}
        }
        body["metadata"] |= {"creationTimestamp": "2026-11-22T00:00:00Z"}
        lines.append({"at": START + at * MS, "type": "MODIFIED", "object": body})
    noted = {
        PLACES.name: PLACES.as_json(places), NODES.name: NODES.as_json(states), FOREIGN.name: FOREIGN.as_json(pods),
        ASKED.name: ASKED.as_json(dict(asked)), "at_rest": True,
    }  # fmt: skip
    return KueueRecording.of_parts(meta(notes=noted), asked=[], events=lines, metrics=[])


def test_a_sound_floor_is_sound() -> None:
    """Red when a node that is just full is accused."""
    one, two = placed("one", {"a1": 1}), placed("two", {"a1": 1})
    assert findings(walked((10, one), (20, two), asked={"one": ANY, "two": ANY})) == []


def test_a_node_is_promised_twice() -> None:
    """Red when the third pod of 2 GPUs on 4 is not found, or one whose forerunner has finished is."""
    names = {name: ANY for name in ("one", "two", "three")}
    events = [(number * 10, placed(name, {"a1": 1})) for number, name in enumerate(names)]
    assert findings(walked(*events, asked=names)) == ["node a1 had 4 GPUs, was promised 6 with Workload three"]
    done = (15, placed("two", {"a1": 1}, finished=True))
    assert findings(walked(*events[:2], done, events[2], asked=names)) == []


def test_a_node_that_comes_back_is_told_apart() -> None:
    """Red when the known defect of a returned node hides a double promise of a node that was there all along."""
    names = {name: ANY for name in ("one", "two", "three")}
    events = [(20 * SECOND + number, placed(name, {"a1": 1})) for number, name in enumerate(names)]
    back = [(1 * SECOND, "a1", False, False), (2 * SECOND, "a1", True, True)]
    seen = walked(*events, asked=names, nodes=back)
    assert len(findings(seen)) == 1 and news(seen) == []
    assert len(news(walked(*events, asked=names))) == 1


def test_foreign_pods_take_room() -> None:
    """Red when a pod that nobody queued is overlooked, or one that has just come or gone is held against Kueue."""
    one = (10 * SECOND, placed("one", {"a1": 1}))
    for since, until, expected in ((1, 0, 1), (9, 0, 0), (1, 9, 0), (1, 20, 1)):
        seen = findings(walked(one, asked={"one": ANY}, foreign=[("a1", 3, since * SECOND, until * SECOND)]))
        assert len(seen) == expected, (since, until, seen)


@pytest.mark.parametrize(("there", "is_open"), [(True, False), (False, False)])
def test_closed_nodes_get_nothing(there: bool, is_open: bool) -> None:
    """Red when a node that is long cordoned or gone is assigned, or one that was closed only now is accused."""
    one = (10 * SECOND, placed("one", {"a1": 1}))
    shut = (1 * SECOND, "a1", there, is_open)
    assert findings(walked(one, asked={"one": ANY}, nodes=[shut])) == [
        "Workload one was assigned to node a1, which was closed or gone"
    ]
    assert findings(walked(one, asked={"one": ANY}, nodes=[(9 * SECOND, "a1", there, is_open)])) == []
    assert findings(walked(one, asked={"one": ANY}, nodes=[shut, (9 * SECOND, "a1", True, True)])) == []


def test_domains_are_as_asked() -> None:
    """Red when pods that require a rack are spread, or miss some of their number."""
    asked = {"one": Asked(2, 2, "required", "rack")}
    assert findings(walked((1, placed("one", {"a1": 1, "a2": 1})), asked=asked)) == []
    assert "requires one rack" in findings(walked((1, placed("one", {"a1": 1, "b1": 1})), asked=asked))[0]
    assert "2 pods, 1 were" in findings(walked((1, placed("one", {"a1": 1})), asked=asked))[0]


def test_who_fits_does_not_wait() -> None:
    """Red when one that fits waits unseen, or one that cannot fit is accused of waiting."""
    for asked, expected in (
        (Asked(6, 2, "unconstrained", ""), 1),
        (Asked(7, 2, "preferred", "rack"), 0),
        (Asked(4, 2, "required", "rack"), 1),
        (Asked(5, 2, "required", "rack"), 0),
        (Asked(2, 3, "required", "host"), 0),
        (Asked(1, 4, "required", "host"), 1),
    ):
        assert len(findings(walked((1, waits("one")), asked={"one": asked}))) == expected, asked
    shut = [(1, node, True, False) for node in ("a1", "a2", "b1")]
    assert findings(walked((1, waits("one")), asked={"one": ANY}, nodes=shut)) == []
    full = [(node, 4, 1, 0) for node in ("a1", "a2", "b1")]
    assert findings(walked((1, waits("one")), asked={"one": ANY}, foreign=full)) == []
