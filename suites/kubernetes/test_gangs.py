"""Gangs by Kubernetes' own scheduler: PodGroups, which are off by default (feature gate GenericWorkload)."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Note, Recording, behaviour, scenario
from gpuassay.gangs import all_bound, bound, none_bound, started_partly
from gpuassay.manifest import condition
from gpuassay.systems.kubernetes.lab import GangLab

SPEC = "https://kubernetes.io/docs/concepts/scheduling-eviction/gang-scheduling/"
CONFORMANCE = "https://github.com/cncf/k8s-ai-conformance (gang_scheduling)"
SIZE = 4
TEAM, ALONE = "team", "alone"
SOON = 20.0
"""Seconds for what takes the scheduler a moment; the judges look at all that was recorded, also afterwards."""

SAYS = Note("says", str, "the PodGroup's condition that says whether the group has been placed")


@scenario(system="kubernetes", needs={"fake-nodes"}, timeout=120)
def short_of_room(lab: GangLab) -> None:
    """A complete gang of four has room for three, as have four pods without a gang; then the gang gets more."""
    lab.note(SAYS, lab.native.scheduled)
    for room in (TEAM, ALONE):
        lab.add_room(room, SIZE - 1)
    lab.group(TEAM, SIZE)
    lab.pods(TEAM, range(SIZE))
    lab.pods(ALONE, range(SIZE), alone=True)
    lab.observe(lambda: lab.told(TEAM, "False"), "the scheduler says that the gang has no room", timeout=SOON)
    lab.observe(
        lambda: lab.placed(ALONE) == SIZE - 1, "pods without a gang start as far as there is room", timeout=SOON
    )
    lab.marker()
    lab.mark("room for all")
    lab.add_room(TEAM, 1)
    lab.observe(lambda: lab.placed(TEAM) == SIZE, "the gang starts", timeout=SOON)
    lab.observe(lambda: lab.told(TEAM, "True"), "the scheduler says that the gang has been placed")


@behaviour(
    "kubernetes.gang.none-without-room-for-all", level=MUST, spec=SPEC, mutant="min-count-one",
    red_when="a pod of a complete gang is bound while there is room for one pod too few",
)  # fmt: skip
def test_nothing_of_a_gang_starts_without_room_for_all(short_of_room: Recording) -> None:
    """A complete gang of four on room for three: no pod is bound, while as many pods without a gang start in part."""
    until = short_of_room.mark("room for all")
    assert bound(short_of_room, "marker", until=until), f"the scheduler stands still\n{short_of_room.timeline_text()}"
    assert started_partly(short_of_room, ALONE, until=until, room=SIZE - 1) == [], short_of_room.timeline_text()
    found = none_bound(short_of_room, TEAM, until=until, there=SIZE)
    assert found == [], f"{found}\n{short_of_room.timeline_text()}"


@behaviour(
    "kubernetes.gang.group-is-what-holds-them", level=MUST, spec=SPEC, mutant="scheduling-group-lost",
    red_when="pods start in part although they name a group that is not to start in part",
)  # fmt: skip
def test_it_is_the_group_that_holds_pods_back(short_of_room: Recording) -> None:
    """Pods that name a PodGroup are held back by it: the same pods without one have started by then."""
    until = short_of_room.mark("room for all")
    assert len(bound(short_of_room, ALONE, until=until)) > len(bound(short_of_room, TEAM, until=until)), (
        short_of_room.timeline_text()
    )


@behaviour(
    "kubernetes.gang.pods-alone-start", level=MUST, spec=CONFORMANCE, mutant="alone-ganged",
    red_when="pods without a group wait although there is room for them, so that a gang that waits proves nothing",
)  # fmt: skip
def test_pods_without_a_gang_start_in_part(short_of_room: Recording) -> None:
    """The control: of four pods without a gang, on room for three, three start while the gang waits."""
    until = short_of_room.mark("room for all")
    found = started_partly(short_of_room, ALONE, until=until, room=SIZE - 1)
    assert found == [], f"{found}\n{short_of_room.timeline_text()}"


@behaviour(
    "kubernetes.gang.all-start-with-room", level=MUST, spec=SPEC, mutant="min-count-raised",
    red_when="a gang that waited for room does not start, or only in part, once there is room for all of it",
)  # fmt: skip
def test_a_gang_starts_once_there_is_room_for_all(short_of_room: Recording) -> None:
    """A gang that waited for room is bound, each pod of it, when the node that it lacked is there."""
    found = all_bound(short_of_room, TEAM, size=SIZE)
    assert found == [], f"{found}\n{short_of_room.timeline_text()}"


@behaviour(
    "kubernetes.gang.group-tells", level=SHOULD, spec=SPEC, mutant="min-count-one",
    red_when="a PodGroup does not say that it has no room, or says that it was placed before it was",
)  # fmt: skip
def test_the_group_says_what_it_waits_for(short_of_room: Recording) -> None:
    """The PodGroup says Unschedulable while there is no room for all, and that it was placed once it is."""
    groups = short_of_room.timelines("PodGroup")
    assert TEAM in groups, "no PodGroup was recorded"
    kind, until = short_of_room.note(SAYS), short_of_room.mark("room for all")
    changes = [one for one in groups[TEAM].condition_changes() if one.type == kind]
    said = [(one.at < until, one.status, one.reason) for one in changes]
    assert (True, "False", "Unschedulable") in said, f"{said}\n{short_of_room.timeline_text()}"
    assert not any(before and status == "True" for before, status, _ in said), said
    last = condition(groups[TEAM].final, kind)
    assert last is not None and last["status"] == "True", short_of_room.timeline_text()


@scenario(system="kubernetes", needs={"fake-nodes"}, timeout=120)
def incomplete(lab: GangLab) -> None:
    """There is room for a gang of four, and three of its pods; then the fourth comes."""
    lab.add_room(TEAM, SIZE)
    lab.group(TEAM, SIZE)
    lab.pods(TEAM, range(SIZE - 1))
    lab.marker()
    lab.mark("complete")
    lab.pods(TEAM, [SIZE - 1])
    lab.observe(lambda: lab.placed(TEAM) == SIZE, "the gang starts", timeout=SOON)


@behaviour(
    "kubernetes.gang.waits-until-complete", level=MUST, spec=SPEC, mutant="min-count-one",
    red_when="pods of a gang are bound before there are as many of them as its minCount says",
)  # fmt: skip
def test_an_incomplete_gang_waits(incomplete: Recording) -> None:
    """Three pods of a gang of four wait although there is room, and all four are bound once the fourth is there."""
    until = incomplete.mark("complete")
    assert bound(incomplete, "marker", until=until), f"the scheduler stands still\n{incomplete.timeline_text()}"
    found = none_bound(incomplete, TEAM, until=until, there=SIZE - 1) + all_bound(incomplete, TEAM, size=SIZE)
    assert found == [], f"{found}\n{incomplete.timeline_text()}"


RIVALS = ("red", "blue")
SHARED = "shared"


@scenario(system="kubernetes", needs={"fake-nodes"}, timeout=150)
def rivals(lab: GangLab) -> None:
    """Two gangs of four, whose pods come by turns, have room for six; the one that started is then taken away."""
    lab.add_room(SHARED, SIZE + 2)
    for gang in RIVALS:
        lab.group(gang, SIZE)
    for number in range(SIZE):
        for gang in RIVALS:
            lab.pods(gang, [number], room=SHARED)
    lab.observe(lambda: any(lab.placed(gang) == SIZE for gang in RIVALS), "one of the gangs starts", timeout=SOON)
    lab.marker()
    first = max(RIVALS, key=lab.placed)
    lab.mark("the first is taken away")
    for number in range(SIZE):
        lab.delete("Pod", f"{first}-{number}")
    other = next(gang for gang in RIVALS if gang != first)
    lab.observe(lambda: lab.placed(other) == SIZE, "the other gang starts", timeout=SOON)


@behaviour(
    "kubernetes.gang.rivals-do-not-block", level=MUST, spec=SPEC, mutant="scheduling-group-lost",
    red_when="two gangs share out the room so that neither is complete, or the second never starts after the first",
)  # fmt: skip
def test_two_gangs_do_not_block_each_other(rivals: Recording) -> None:
    """Of two gangs of four with room for six, one starts entirely and the other not at all, until the first is gone."""
    until = rivals.mark("the first is taken away")
    early = sorted(len(bound(rivals, gang, until=until)) for gang in RIVALS)
    assert early == [0, SIZE], f"bound of the two gangs: {early}\n{rivals.timeline_text()}"
    found = [line for gang in RIVALS for line in all_bound(rivals, gang, size=SIZE)]
    assert found == [], f"{found}\n{rivals.timeline_text()}"
