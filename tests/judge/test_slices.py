"""The invariants of slices on doctored histories: each is broken once and must be found by name."""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.systems.slices.judge.geometry import (
    Change,
    Run,
    Slice,
    conservation_findings,
    free_starts,
    geometry_findings,
    grant_findings,
    identity_findings,
    sharing_findings,
    standing,
    vanished_findings,
)


@dataclass(frozen=True)
class Profile:
    size: int
    starts: tuple[int, ...]
    most: int


SHAPES = {
    "1g.5gb": Profile(1, tuple(range(7)), 7),
    "3g.20gb": Profile(4, (0, 4), 2),
    "1g.5gb+me": Profile(1, (0, 1), 1),
}
SMALL = Slice("n/0", "1g.5gb", 0, 1, "MIG-a")
LARGE = Slice("n/0", "3g.20gb", 4, 4, "MIG-b")
MADE = [Change(10, made=True, slice=SMALL), Change(20, made=True, slice=LARGE)]


def made(*slices: Slice) -> list[Change]:
    return [Change(at, made=True, slice=one) for at, one in enumerate(slices)]


def run(pod: str, *held: str, begun: int = 30, ended: int | None = None, asked: str = "1g.5gb") -> Run:
    return Run(pod, begun, ended, ended, {asked: 1}, held)


def test_a_legal_course_has_no_findings() -> None:
    """Red when something lawful is reported."""
    course = [*MADE, Change(30, made=False, slice=SMALL), Change(40, made=True, slice=SMALL)]
    assert geometry_findings(course, SHAPES) == []
    runs = [run("p", "MIG-a", ended=35), run("q", "MIG-b", asked="3g.20gb"), run("r", "MIG-a", begun=41)]
    assert sharing_findings(runs) == []
    assert grant_findings([runs[1], runs[2]], course) == []
    assert conservation_findings(standing(course), ["MIG-a", "MIG-b"], ["MIG-a", "MIG-b"]) == []


def test_an_illegal_geometry_is_found_by_name() -> None:
    """Red when a misplaced, overlapping, unknown or surplus slice, or a second destruction, goes unseen."""
    misplaced = Slice("n/0", "3g.20gb", 2, 4, "MIG-c")
    found = geometry_findings(made(misplaced, Slice("n/0", "9g.99gb", 0, 1, "")), SHAPES)
    assert [one.split(":")[0] for one in found] == ["3g.20gb at n/0", "9g.99gb at n/0"]
    assert "overlaps 1g.5gb at n/0:0" in geometry_findings(made(SMALL, Slice("n/0", "3g.20gb", 0, 4, "")), SHAPES)[0]
    twice = made(*(Slice("n/0", "1g.5gb+me", start, 1, "") for start in (0, 1)))
    assert "already held its 1" in geometry_findings(twice, SHAPES)[0]
    assert "none stood there" in geometry_findings([Change(1, made=False, slice=SMALL)], SHAPES)[0]


def test_two_pods_on_one_slice_are_found() -> None:
    """Red when pods may share a slice while both run."""
    assert sharing_findings([run("p", "MIG-a"), run("q", "MIG-a", begun=99)]) == [
        "pods p and q ran at the same time on MIG-a"
    ]


def test_a_pod_on_the_slice_of_another_is_found() -> None:
    """Red when a mix-up of claims goes unseen, or a slice that nobody claims."""
    assert identity_findings([run("p", "MIG-a")], {"MIG-a": "p"}) == []
    assert identity_findings([run("p", "MIG-a", "MIG-x")], {"MIG-a": "q"}) == [
        "pod p was given MIG-a, which is q's",
        "pod p was given MIG-x, which nobody claims",
    ]


def test_a_wrong_grant_is_found() -> None:
    """Red when a pod may run with none, another or a dead slice."""
    assert grant_findings([run("p")], MADE) == ["pod p asked for 1 x 1g.5gb and was given nothing"]
    assert grant_findings([run("p", "MIG-b")], MADE) == ["pod p asked for 1 x 1g.5gb and was given 1 x 3g.20gb"]
    assert grant_findings([run("p", "test")], MADE) == ["pod p ran on test, which did not exist then"]


def test_a_slice_destroyed_under_a_running_pod_is_found() -> None:
    """Red when a pod may lose its slice."""
    course = [*MADE, Change(50, made=False, slice=SMALL)]
    assert vanished_findings([run("p", "MIG-a")], course) == ["pod p lost MIG-a while it ran"]
    assert vanished_findings([run("p", "MIG-a", ended=45)], course) == []


def test_a_leak_on_either_side_is_found() -> None:
    """Red when a slice without a claim, a claim without a slice or a stale CDI device goes unseen."""
    assert conservation_findings([SMALL], [], ["MIG-a"]) == ["slice MIG-a has no claim"]
    assert conservation_findings([], ["MIG-a"]) == ["claim MIG-a has no slice"]
    assert conservation_findings([SMALL], ["MIG-a", "MIG-a"]) == ["claim MIG-a has no slice"]
    assert conservation_findings([SMALL], ["MIG-a"], ["MIG-a", "MIG-z"]) == ["CDI device MIG-z has no slice"]


def test_free_places_are_those_of_the_table() -> None:
    """Red when a place that is taken, or that does not exist, counts as free."""
    assert free_starts([SMALL], ["n/0"], "3g.20gb", SHAPES) == ["n/0:4"]
    assert free_starts([SMALL, LARGE], ["n/0", "n/1"], "3g.20gb", SHAPES) == ["n/1:0", "n/1:4"]
    assert free_starts([LARGE], ["n/0"], "1g.5gb", SHAPES) == ["n/0:0", "n/0:1", "n/0:2", "n/0:3"]
