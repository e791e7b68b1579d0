"""The compact topology assignments of the API, and floors that were promised twice."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.topology import domains, overbooked, pods_by_node, spread
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import conditions, event, meta

NODES = {"n1": "r1", "n2": "r1", "n3": "r2"}


def part(values: list[Manifest], pods: Manifest, count: int) -> Manifest:
    return {"domainCount": count, "valuesPerLevel": values, "podCounts": pods}


def placed(**pods: int) -> Manifest:
    """Status of a Workload whose pods are on these nodes."""
    parts = [part([{"universal": node}], {"universal": number}, 1) for node, number in pods.items()]
    assignment = {"levels": ["kubernetes.io/hostname"], "slices": parts}
    return {
        "conditions": conditions(QuotaReserved="True"),
        "admission": {"podSetAssignments": [{"name": "main", "topologyAssignment": assignment}]},
    }


def test_a_compact_assignment_is_unfolded() -> None:
    values = [{"universal": "block"}, {"individual": {"prefix": "rack-", "suffix": "-x", "roots": ["1", "2"]}}]
    slices = [
        part(values, {"individual": [3, 4]}, 2),
        part([{"universal": "b"}, {"universal": "c"}], {"universal": 1}, 1),
    ]
    assert domains({"slices": slices}) == {("block", "rack-1-x"): 3, ("block", "rack-2-x"): 4, ("b", "c"): 1}


@given(st.dictionaries(st.text("abc123", min_size=1), st.integers(1, 9), min_size=1))
def test_any_way_to_write_it_means_the_same(pods: dict[str, int]) -> None:
    folded = part([{"individual": {"roots": list(pods)}}], {"individual": list(pods.values())}, len(pods))
    single = [part([{"universal": node}], {"universal": number}, 1) for node, number in pods.items()]
    assert domains({"slices": [folded]}) == domains({"slices": single}) == {(key,): pods[key] for key in pods}


@pytest.mark.parametrize(
    "broken",
    [
        part([{"individual": {"roots": ["a"]}}], {"universal": 1}, 2),
        part([{"universal": "a"}], {"individual": [1]}, 2),
        part([{}], {"universal": 1}, 1),
    ],
)
def test_an_assignment_that_does_not_add_up_is_refused(broken: Manifest) -> None:
    with pytest.raises(ValueError, match="values for"):
        domains({"slices": [broken]})


def test_pods_are_counted_by_node_and_rack() -> None:
    workload: Manifest = {"status": placed(n1=1, n2=2, n3=3)}
    assert pods_by_node(workload) == Counter(n1=1, n2=2, n3=3)
    assert spread(workload, NODES) == Counter(r1=3, r2=3)
    assert spread({"status": placed(elsewhere=1)}, NODES) == Counter(elsewhere=1)


def test_without_quota_nothing_is_placed() -> None:
    status = placed(n1=1) | {"conditions": conditions(QuotaReserved="False")}
    assert not pods_by_node({"status": status}) and not pods_by_node({})


def floor(*changes: Manifest) -> list[str]:
    recording = KueueRecording.of_parts(meta(), events=changes)
    return overbooked(recording, dict.fromkeys(NODES, 4), {"a": 2, "b": 2})


A = event(1, "ADDED", "Workload", "a", 1, status=placed(n1=2))


def test_a_full_node_is_fine_and_one_pod_more_is_not() -> None:
    assert floor(A, event(2, "ADDED", "Workload", "b", 2, status=placed(n2=2))) == []
    assert floor(A, event(2, "ADDED", "Workload", "b", 2, status=placed(n1=1))) == [
        "node n1 has 4, was promised 6 at b"
    ]


def test_who_has_left_takes_no_place() -> None:
    late = event(3, "ADDED", "Workload", "b", 3, status=placed(n1=2))
    assert floor(A, event(2, "DELETED", "Workload", "a", 2, status=placed(n1=2)), late) == []
    over = placed(n1=2)
    over["conditions"] += conditions(Finished="True")
    assert floor(A, event(2, "MODIFIED", "Workload", "a", 2, status=over), late) == []


def test_an_overbooking_that_was_put_right_is_found_all_the_same() -> None:
    moment = event(2, "ADDED", "Workload", "b", 2, status=placed(n1=1))
    assert floor(A, moment, event(3, "DELETED", "Workload", "b", 3, status=placed(n1=1)))


def test_a_node_that_nobody_knows_has_no_places() -> None:
    assert floor(event(1, "ADDED", "Workload", "a", 1, status=placed(n9=1))) == ["node n9 has 0, was promised 2 at a"]
