"""The node ledger of a walk over a floor: no node is promised more than it has, domains are as asked, nobody waits.

What was done to nodes, and what foreign pods took, is known from the walk itself. Each new assignment is held against
it: with the nodes as they were at some moment of the last seconds, for Kueue's watches are late. Rules of Kueue's docs,
"Topology Aware Scheduling": a required level holds all pods in one of its domains, a preferred one is a wish.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from gpuassay.manifest import is_true, name_of
from gpuassay.record.notes import Note
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.judge.topology import pods_by_node
from gpuassay.systems.kueue.readings import KueueRecording

LAG_NS = 3_000_000_000
"""What was done to a node so long ago may still be unknown to Kueue."""


class Place(msgspec.Struct, frozen=True):
    """Where a node stands, and its GPUs."""

    rack: str
    block: str
    gpus: int


class NodeState(msgspec.Struct, frozen=True):
    """From `at` on (ns since the epoch) a node is there or not, and open to pods or not."""

    at: int
    node: str
    there: bool
    open: bool


class Foreign(msgspec.Struct, frozen=True):
    """A pod that nobody queued: its node and GPUs, and when it came and went (ns since the epoch; 0: it has not)."""

    node: str
    gpus: int
    since: int
    until: int


class Asked(msgspec.Struct, frozen=True):
    """What a Workload asked for: pods, GPUs of each, `required`, `preferred` or `unconstrained`, and the level."""

    pods: int
    gpus: int
    mode: str
    level: str


PLACES = Note("floor_places", dict[str, Place], "where each node stands", default={})
NODES = Note("floor_nodes", list[NodeState], "what was done to nodes, in order", default=[])
FOREIGN = Note("floor_foreign", list[Foreign], "pods that nobody queued", default=[])
ASKED = Note("floor_asked", dict[str, Asked], "what each Workload asked for", default={})


RETURNED = "which had gone and come back"
"""Of a node, in a sentence: Kueue v0.19.2 forgets what such a node has promised (`known.RETURNED_NODE`)."""


def news(recording: KueueRecording) -> list[str]:
    """The findings that are no known defect."""
    return [one for one in findings(recording) if RETURNED not in one]


def findings(recording: KueueRecording) -> list[str]:
    """Assignments that the nodes did not allow, and Workloads that wait at rest although they fit, as sentences."""
    return list(dict.fromkeys([*_assigned(recording), *_waiting(recording)]))


def _assigned(recording: KueueRecording) -> Iterator[str]:
    places, asked = recording.note(PLACES), recording.note(ASKED)
    held: dict[str, Counter[str]] = {}
    for event in recording.of("Workload"):
        before = held.pop(event.uid, Counter[str]())
        over = event.type == "DELETED" or is_true(event.object, "Finished")
        now = Counter[str]() if over else pods_by_node(event.object)
        if now:
            held[event.uid] = now
        if not now or now == before or event.name not in asked:
            continue
        mine = asked[event.name]
        yield from _as_asked(event.name, mine, now, places)
        booked = _booked(recording, held)
        for node in sorted(node for node in now if now[node] > before[node]):
            if not _was_open(recording, node, event.at):
                yield f"Workload {event.name} was assigned to node {node}, which was closed or gone"
            elif node in places:
                has = places[node].gpus - sum(
                    one.gpus for one in recording.note(FOREIGN) if one.node == node and _all_along(one, event.at)
                )
                if booked[node] > has:
                    back = f"{RETURNED}, " if _was_gone(recording, node, event.at) else ""
                    yield f"node {node} {back}had {has} GPUs, was promised {booked[node]} with Workload {event.name}"


def _booked(recording: KueueRecording, held: Mapping[str, Counter[str]]) -> Counter[str]:
    """GPUs promised of each node."""
    asked = recording.note(ASKED)
    by_uid = {line.uid: line.name for line in recording.timelines("Workload").values()}
    total: Counter[str] = Counter()
    for uid, nodes in held.items():
        each = asked[by_uid[uid]].gpus if by_uid.get(uid) in asked else 0
        for node, pods in nodes.items():
            total[node] += pods * each
    return total


def _as_asked(name: str, mine: Asked, now: Counter[str], places: Mapping[str, Place]) -> Iterator[str]:
    if sum(now.values()) != mine.pods:
        yield f"Workload {name} asked for {mine.pods} pods, {sum(now.values())} were assigned"
    if mine.mode == "required":
        domains = {_domain(node, mine.level, places) for node in now}
        if len(domains) > 1:
            yield f"Workload {name} requires one {mine.level}, was assigned to {', '.join(sorted(domains))}"


def _domain(node: str, level: str, places: Mapping[str, Place]) -> str:
    place = places.get(node)
    return node if place is None or level == "host" else place.rack if level == "rack" else place.block


def _was_open(recording: KueueRecording, node: str, at: int) -> bool:
    """Whether the node was open at some moment of the time about which Kueue may have decided."""
    last = False
    for one in recording.note(NODES):
        if one.node != node or one.at > at + LAG_NS:
            continue
        if one.at >= at - LAG_NS and (last or one.open):
            return True
        last = one.there and one.open
    return last


def _was_gone(recording: KueueRecording, node: str, at: int) -> bool:
    return any(one.node == node and not one.there and one.at < at for one in recording.note(NODES))


def _all_along(pod: Foreign, at: int) -> bool:
    return pod.since <= at - LAG_NS and (pod.until == 0 or pod.until >= at)


def _waiting(recording: KueueRecording) -> Iterator[str]:
    if not recording.at_rest:
        return
    rest = Rest(recording)
    if any(is_true(one, "Evicted") for one in rest.holding()):
        return
    free = _free(recording, rest)
    places, asked = recording.note(PLACES), recording.note(ASKED)
    for one, sure in rest.waiting():
        mine = asked.get(name_of(one))
        if mine is None or not sure:
            continue
        room: dict[str, int] = defaultdict(int)
        for node, gpus in free.items():
            room[_domain(node, mine.level, places) if mine.mode == "required" else ""] += gpus // mine.gpus
        fits = [domain for domain, pods in sorted(room.items()) if pods >= mine.pods]
        if fits:
            where = fits[0] or "the open nodes"
            yield (
                f"Workload {name_of(one)} waits at rest although {where} have room for {room[fits[0]]} pods of "
                f"{mine.gpus} GPUs, and it asks for {mine.pods} ({mine.mode} {mine.level})"
            )


def _free(recording: KueueRecording, rest: Rest) -> dict[str, int]:
    """GPUs that are free at the end on every open node."""
    state = {one.node: one for one in recording.note(NODES)}
    foreign: Counter[str] = Counter()
    for one in recording.note(FOREIGN):
        foreign[one.node] += one.gpus if one.until == 0 else 0
    booked = _booked(recording, {str(one["metadata"]["uid"]): pods_by_node(one) for one in rest.holding()})
    return {
        node: max(0, place.gpus - foreign[node] - booked[node])
        for node, place in recording.note(PLACES).items()
        if state[node].there and state[node].open
    }
