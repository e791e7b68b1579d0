"""Topology-aware scheduling: where pods are put, on fake nodes of the scenario's own, or on a cluster's own nodes.

Nodes of a scenario offer its GPUs under a resource of their own, so that no pod of another takes a place on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gpuassay import MUST, Manifest, Note, behaviour, dig, scenario
from gpuassay.manifest import condition, is_true
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts.floor import HOST, Floor, Plan
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.gates import bound
from gpuassay.systems.kueue.judge.topology import overbooked, pods_by_node, spread
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling/"
NEEDS = {"cluster-wide-configuration", "gate:TopologyAwareScheduling"}
EACH = 4
"""GPUs of a node."""


RACKS = Note("racks", dict[str, str], "rack of each node")
BLOCKS = Note("blocks", dict[str, str], "block of each node")
NAMES = Note("names", list[str], "the Workloads of both queues")
GPUS = Note("gpus", int, "GPUs of each node", default=EACH)


@dataclass(frozen=True)
class Place:
    """Nodes of a scenario, and the flavor that stands for them."""

    flavor: str
    floor: Floor


def _place(lab: KueueLab, racks: Mapping[str, str], *, folds: bool = False) -> Place:
    """Nodes in racks (rack -> block), two each; their Topology and flavor; where each node stands is noted."""
    floor = lab.floor(Plan(racks, per_rack=2, each=EACH, folds=folds))
    lab.note(RACKS, dict(floor.racks))
    lab.note(BLOCKS, dict(floor.blocks))
    lab.note(GPUS, floor.each)
    name = lab.unique("floor")
    lab.create(kueue.topology(name, [floor.block, floor.rack, HOST]))
    return Place(lab.flavor("racked", node_labels=floor.labels, topology=name), floor)


def _queue(lab: KueueLab, base: str, place: Place, gpus: int, *, stop: str | None = None) -> str:
    group = kueue.resource_group({place.flavor: [kueue.quota(place.floor.resource, gpus)]})
    lab.local_queue(base, lab.cluster_queue(base, [group], stop=stop))
    return base


def _workload(
    lab: KueueLab, name: str, place: Place, pods: int, gpus: int, *, queue: str = "queue", **wish: str | bool
) -> str:
    """A Workload of `pods` pods with `gpus` GPUs each; `wish` is its topology request."""
    pod_set = kueue.pod_set(count=pods, requests={place.floor.resource: gpus}, topologyRequest=wish)
    lab.create(kueue.workload(name, lab.namespace, queue, [pod_set]))
    return name


def _final(recording: KueueRecording, name: str) -> Manifest:
    return recording.timelines("Workload")[name].final


@scenario(needs={*NEEDS, "floor-of-four"})
def floor_of_two_blocks(lab: KueueLab) -> None:
    """Two blocks of two racks of two nodes with 4 GPUs are filled up, one workload after the other.

    `filler` takes half a node, so that pods without a topology constraint continue there. Where there are only four
    nodes, each is a rack with 8 GPUs.
    """
    place = _place(lab, {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}, folds=True)
    rack = place.floor.rack
    _queue(lab, "queue", place, gpus=1000)
    lab.observe_admitted(_workload(lab, "filler", place, 1, 2, unconstrained=True))
    lab.observe_admitted(_workload(lab, "rack", place, 4, 2, required=rack))
    lab.observe_admitted(_workload(lab, "close", place, 6, 2, preferred=rack))
    _workload(lab, "too-large", place, 5, 2, required=rack)
    lab.observe(lambda: lab.decided("too-large"), "too-large was considered")
    lab.observe_admitted(_workload(lab, "anywhere", place, 5, 2, unconstrained=True))
    _workload(lab, "none-left", place, 1, 1, unconstrained=True)
    lab.observe(lambda: lab.decided("none-left"), "none-left was considered")


@behaviour(
    "kueue.tas.required-in-one-domain", level=MUST, spec=SPEC,
    red_when="pods that must share a rack are spread over racks", mutant="topology-lost",
)  # fmt: skip
def test_required_topology_holds(floor_of_two_blocks: KueueRecording) -> None:
    """Pods that require a rack are all assigned to nodes of a single rack."""
    seen = spread(_final(floor_of_two_blocks, "rack"), floor_of_two_blocks.note(RACKS))
    story = floor_of_two_blocks.timeline_text(["rack"])
    assert sorted(seen.values()) == [4], f"expected 4 pods in one rack, seen {dict(seen)}\n{story}"


@behaviour(
    "kueue.tas.preferred-widens-one-level", level=MUST, spec=SPEC,
    red_when="pods that prefer one rack are spread further than needed, or wait for a rack", mutant="topology-lost",
)  # fmt: skip
def test_preferred_topology_widens_by_one_level(floor_of_two_blocks: KueueRecording) -> None:
    """Pods that prefer a rack but fit into none are spread over the two racks of a single block."""
    workload = _final(floor_of_two_blocks, "close")
    blocks, racks = (spread(workload, floor_of_two_blocks.note(one)) for one in (BLOCKS, RACKS))
    story = floor_of_two_blocks.timeline_text(["close"])
    assert sorted(blocks.values()) == [6], f"expected 6 pods in one block, seen {dict(blocks)}\n{story}"
    assert len(racks) == 2, f"expected both racks of the block, seen {dict(racks)}\n{story}"


@behaviour(
    "kueue.tas.preferred-is-no-demand", level=MUST, spec=SPEC,
    red_when="pods wait for a rack that they only prefer", mutant="topology-too-strict",
)  # fmt: skip
def test_preferred_topology_does_not_block(floor_of_two_blocks: KueueRecording) -> None:
    """Pods that prefer a rack are admitted although no rack is large enough."""
    admitted = is_true(_final(floor_of_two_blocks, "close"), "Admitted")
    assert admitted, f"expected `close` to be admitted\n{floor_of_two_blocks.timeline_text(['close'])}"


@behaviour(
    "kueue.tas.too-large-waits", level=MUST, spec=SPEC,
    red_when="a workload that no rack can hold is admitted, or waits without a reason", mutant="topology-lost",
)  # fmt: skip
def test_what_fits_no_rack_waits(floor_of_two_blocks: KueueRecording) -> None:
    """A workload that requires a rack but fits into none gets no quota, and its message says how many pods fit."""
    recording = floor_of_two_blocks
    racks = recording.note(RACKS)
    # the first word on it: it is considered again when the rest of the floor has been taken
    told = [
        entry
        for event in recording.of("Workload")
        if event.name == "too-large" and (entry := condition(event.object, "QuotaReserved"))
    ]
    seen = (told[-1]["status"], str(told[0]["message"])) if told else ("", "")
    taken = Counter[str]()
    for name in ("filler", "rack", "close"):
        taken += spread(_final(recording, name), racks)
    best = max(2 * EACH // 2 - taken[rack] for rack in set(racks.values()))
    story = recording.timeline_text(["too-large"])
    assert recording.observed("too-large was considered"), f"expected it to be considered\n{story}"
    assert seen[0] == "False", f"expected QuotaReserved to be False, seen {seen}\n{story}"
    expected = f"allows to fit only {best} out of 5 pod(s)"
    assert expected in seen[1], f"expected {expected!r}, seen {seen[1]!r}\n{story}"


@behaviour(
    "kueue.tas.unconstrained-fills-up", level=MUST, spec=SPEC,
    red_when="unconstrained pods wait although the nodes have enough free GPUs", mutant="topology-too-strict",
)  # fmt: skip
def test_unconstrained_pods_take_what_is_left(floor_of_two_blocks: KueueRecording) -> None:
    """Pods with an unconstrained topology request are spread over the free GPUs of several racks."""
    racks = must_have(floor_of_two_blocks.note(RACKS), "racks", least=2)
    seen = spread(_final(floor_of_two_blocks, "anywhere"), racks)
    story = floor_of_two_blocks.timeline_text(["anywhere"])
    assert sum(seen.values()) == 5 and len(seen) > 1, f"expected 5 pods in several racks, seen {dict(seen)}\n{story}"


@behaviour(
    "kueue.tas.full-floor-waits", level=MUST, spec=SPEC,
    red_when="workloads are admitted beyond the capacity of the nodes", mutant="topology-ignored",
)  # fmt: skip
def test_a_full_floor_takes_nothing_more(floor_of_two_blocks: KueueRecording) -> None:
    """When the nodes are full, a workload waits although quota is left, and no node is assigned beyond its GPUs."""
    recording = floor_of_two_blocks
    story = recording.timeline_text(["filler", "rack", "close", "anywhere", "none-left"])
    asked = {"filler": 1, "rack": 4, "close": 6, "anywhere": 5}
    admitted = [name for name in [*asked, "too-large", "none-left"] if is_true(_final(recording, name), "Admitted")]
    assert admitted == list(asked), f"expected {list(asked)} to be admitted, seen {admitted}\n{story}"
    placed = {name: sum(pods_by_node(_final(recording, name)).values()) for name in [*asked, "none-left"]}
    assert placed == asked | {"none-left": 0}, f"expected {asked} placed, seen {placed}\n{story}"
    capacity = dict.fromkeys(recording.note(RACKS), recording.note(GPUS))
    found = overbooked(recording, capacity, {**dict.fromkeys([*asked, "too-large"], 2), "none-left": 1})
    assert found == [], "\n".join([*found, story])


@scenario(needs={*NEEDS, "floor-of-two"})
def two_queues_one_rack(lab: KueueLab) -> None:
    """Two ClusterQueues of eight GPUs each share two nodes of four; both are released on eight workloads at once.

    A marker of another size is created last in each queue: once it is evaluated, nothing before it can be admitted.
    """
    place = _place(lab, {"a1": "a"})
    names: list[str] = []
    for base in ("left", "right"):
        queue = _queue(lab, base, place, gpus=8, stop="Hold")
        names += [_workload(lab, f"{base}-{i}", place, 1, 2, queue=queue, required=HOST) for i in range(4)]
    lab.note(NAMES, names)
    lab.observe(lambda: all(lab.get("Workload", name) for name in names), "all are there")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lab.release, [lab.unique("left"), lab.unique("right")]))
    lab.observe(lambda: lab.count("Admitted") >= 4, "the nodes are full")
    markers = [_workload(lab, f"{base}-marker", place, 1, 1, queue=base, required=HOST) for base in ("left", "right")]
    lab.observe(lambda: lab.decided(*markers), "both queues were gone through")


@behaviour(
    "kueue.tas.queues-do-not-double-book", level=MUST, spec="https://github.com/kubernetes-sigs/kueue/issues/14570",
    red_when="two ClusterQueues are assigned the same GPUs of a node", mutant="topology-ignored",
)  # fmt: skip
def test_two_queues_do_not_double_book_a_node(two_queues_one_rack: KueueRecording) -> None:
    """ClusterQueues that share nodes never get more GPUs of a node than it has, although their quotas allow it."""
    recording = two_queues_one_rack
    names = recording.note(NAMES)
    admitted = [name for name in names if is_true(_final(recording, name), "Admitted")]
    story = recording.timeline_text(names)
    assert len(admitted) == 4, f"expected 4 of 8 workloads of 2 GPUs on 8 GPUs, seen {admitted}\n{story}"
    per_pod = dict.fromkeys(names, 2) | {"left-marker": 1, "right-marker": 1}
    found = overbooked(recording, dict.fromkeys(recording.note(RACKS), recording.note(GPUS)), per_pod)
    assert found == [], "\n".join([*found, story])


@scenario(needs={*NEEDS, "floor-of-four"})
def racked_job(lab: KueueLab) -> None:
    """One node of the first rack is half used; a Job of two pods that each need a whole node requires a rack."""
    place = _place(lab, {"a1": "a", "a2": "a"})
    queue = _queue(lab, "queue", place, gpus=100)
    lab.observe_admitted(_workload(lab, "filler", place, 1, 2, unconstrained=True))
    job = core.job("training", lab.namespace, queue, pods=2, gpus=None, limits={place.floor.resource: EACH})
    job["spec"]["template"]["metadata"]["annotations"]["kueue.x-k8s.io/podset-required-topology"] = place.floor.rack
    lab.create(job)
    lab.observe(lambda: sum(map(bound, lab.objects("Pod"))) == 2, "both pods placed")


@behaviour(
    "kueue.tas.pods-follow-assignment", level=MUST, spec=SPEC,
    red_when="pods run on other nodes than the ones assigned to their Workload", mutant="topology-lost",
)  # fmt: skip
def test_pods_run_where_they_were_assigned(racked_job: KueueRecording) -> None:
    """The pods of a Job that requires a rack run on exactly the nodes assigned to its Workload, in one rack."""
    story = racked_job.timeline_text()
    booked = pods_by_node(racked_job.workload_of("training").final)
    seen = [str(dig(pod.final, "spec", "nodeName", default="")) for pod in racked_job.timelines("Pod").values()]
    assert sorted(seen) == sorted(booked.elements()), f"expected {dict(booked)}, seen {seen}\n{story}"
    racks = {racked_job.note(RACKS).get(node, node) for node in seen}
    assert len(racks) == 1 and len(seen) == 2, f"expected two pods in one rack, seen {seen}\n{story}"
