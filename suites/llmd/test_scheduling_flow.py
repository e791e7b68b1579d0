"""Flow control: requests that wait in the picker are let go by priority, in fair turns, and only so many may wait.

The pool is saturated by what its replicas report, requests queue up one after the other, and then there is room for all
at once: the order in which they are answered is the picker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import fmean
from typing import Any

from gpuassay.behaviour import behaviour
from gpuassay.components.llmd import crds
from gpuassay.components.llmd.arm import Arm
from gpuassay.components.llmd.simulator import Cache
from gpuassay.components.metrics import total
from gpuassay.judge import routing
from gpuassay.manifest import Manifest
from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import scenario
from gpuassay.scenario.lab import Lab
from gpuassay.scenario.routing import Site, opened
from gpuassay.scenario.scheduling import FAKE, only, pick, read_again
from gpuassay.session.measure import Measure
from gpuassay.verdict import MUST, SHOULD, Inconclusive
from gpuassay.workloads.prompts import prompt_set
from suites.llmd.test_scheduling_requests import OBJECTIVE_HEADER, load, patient, place, then

FLOW = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals"
    "/1199-inference-scheduling-flow-control"
)
FAIRNESS_HEADER = "x-gateway-inference-fairness-id"

GROUP = 8
"""Requests of each priority."""
MANY, FEW = 12, 4
"""Requests of the tenant that comes first with many, and of the one that comes later with few."""
LARGE, ROOM = 2000, 30_000
"""Words of a prompt of about 12 kB, and bytes that may wait at normal priority: two of them."""


def _flowing(configuration: dict[str, Any]) -> None:
    """Flow control; at normal priority tenants take turns, and little may wait at priority 1."""
    configuration["featureGates"] = ["flowControl"]
    configuration["plugins"].append({"type": "round-robin-fairness-policy", "name": "turns"})
    configuration["flowControl"] = {
        "defaultRequestTTL": "20s",
        "priorityBands": [{"priority": 0, "fairnessPolicyRef": "turns"}, {"priority": 1, "maxBytes": ROOM}],
    }


@scenario(system="routing", timeout=40)
def flows(lab: Lab) -> None:
    """Low priority before high, many of one tenant before few of another, and more than may wait."""
    arm = Arm(profile="least-loaded", replicas=2, gateway=None, cache=Cache(blocks=0), simulator_flags=FAKE,
              change_picker=then(only("queue-scorer"), patient, _flowing))  # fmt: skip
    with opened(lab, arm) as site:
        for name, priority in (("low", 0), ("bounded", 1), ("high", 10)):
            place(site, crds.INFERENCE_OBJECTIVE, name, {"priority": priority})
        try:
            _waves(site, [("low", GROUP, {OBJECTIVE_HEADER: "low"}), ("high", GROUP, {OBJECTIVE_HEADER: "high"})])
            _waves(site, [("many", MANY, {FAIRNESS_HEADER: "a"}), ("few", FEW, {FAIRNESS_HEADER: "b"})])
            _waves(site, [("bounded", 4, {OBJECTIVE_HEADER: "bounded"})], words=LARGE)
        finally:
            for name in ("low", "bounded", "high"):
                lab.api.delete(crds.INFERENCE_OBJECTIVE.name, name, site.routing.namespace)


def _waves(site: Site, waves: Sequence[tuple[str, int, Mapping[str, str]]], words: int = 40) -> None:
    """Saturate the pool, let the waves queue up in this order, and make room."""
    load(site, 20)
    read_again(site)
    queued = 0
    with ThreadPoolExecutor(len(waves)) as aside:
        running: list[Future[list[Manifest]]] = []
        for name, count, headers in waves:
            prompts = prompt_set([words] * count, seed=61, prefix=f"{name}-")
            running.append(aside.submit(pick, site, name, prompts, at_once=count, headers=headers))
            queued += count
            site.lab.observe(lambda queued=queued: _settled(site, queued, running), f"{name} queued", timeout=2)
        load(site, 0)
        for one in running:
            one.result()


def _settled(site: Site, count: int, running: Sequence[Future[list[Manifest]]]) -> bool:
    picker = site.routing.picker
    assert picker is not None
    waiting = total(picker.metrics(), "inference_extension_flow_control_queue_size")
    return waiting >= count or running[-1].done()


def _places(rows: Sequence[Manifest]) -> list[int]:
    """Which of all answers each of these was, 0 the first; `rows` are those of all waves."""
    order = sorted(range(len(rows)), key=lambda place: rows[place]["last_ns"])
    return [order.index(place) for place in range(len(rows))]


@behaviour(
    "llmd.flow.priority-first", level=MUST, spec=FLOW, mutant="priorities-lost",
    red_when="a request of low priority is let go before one of high priority that waits",
)  # fmt: skip
def test_high_priority_is_let_go_first(flows: Recording, measure: Measure) -> None:
    """Eight requests of priority 10 that came after eight of priority 0 are answered first, with one swap at most.

    All are let go within some milliseconds. Where their answers came out of any order, that of release is not known:
    a picker without priorities answers those that came first, as the machine lets it.
    """
    low, high = flows.asks("low"), flows.asks("high")
    assert not routing.failure_findings([*low, *high])
    places = _places([*low, *high])[GROUP:]
    first = sum(place < GROUP for place in places)
    measure.value(high_among_first=first)
    if 1 < first < GROUP - 1:
        raise Inconclusive(f"{first} of {GROUP} were among the first: answers overtook each other on their way")
    assert first >= GROUP - 1, places


@behaviour(
    "llmd.flow.fair-turns", level=SHOULD, spec=FLOW, mutant="turns-lost",
    red_when="a tenant with few requests waits until another one with many has been served",
)  # fmt: skip
def test_tenants_take_turns(flows: Recording, measure: Measure) -> None:
    """With round-robin fairness 4 requests that came after 12 of another tenant are answered in turn with those."""
    many, few = flows.asks("many"), flows.asks("few")
    assert not routing.failure_findings([*many, *few])
    places = _places([*many, *few])[MANY:]
    measure.value(mean_place_of_few=fmean(places))
    # in turns 0 or 1, 2 or 3, ..: 3.5 on average; who came first is served first: 13.5
    assert fmean(places) <= (3.5 + 13.5) / 2, places


@behaviour(
    "llmd.flow.capacity", level=MUST, spec=FLOW, mutant="room-unlimited",
    red_when="more bytes wait in the picker than it was allowed to hold",
)  # fmt: skip
def test_only_so_many_bytes_may_wait(flows: Recording) -> None:
    """Of four requests of 12 kB with room for 30 kB two are refused with 429, and two are served in the end."""
    assert sorted(row["status"] for row in flows.asks("bounded")) == [200, 200, 429, 429]
