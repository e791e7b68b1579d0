"""Flow control: requests that wait in the picker are let go by priority, in fair turns, and only so many may wait.

The pool is saturated by what its replicas report, requests queue up one after the other, and then there is room for all
at once. The order in which they are let go is read from the picker's log: within milliseconds answers overtake each
other on their way to clients that wait for a CPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import fmean
from typing import Any

from gpuassay import MUST, SHOULD, Measure, Note, behaviour, scenario
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import FAKE, only, pick, read_again
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.simulator import Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
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
DISPATCHED = "Item dispatched."
"""Line of the picker's log at verbosity 5 (Inference Extension v1.4.0), with the flow: `<fairness id>:<priority>`."""
LARGE, ROOM = 2000, 30_000
"""Words of a prompt of about 12 kB, and bytes that may wait at normal priority: two of them."""


LET_GO = Note("let_go", dict[str, list[str]], "whose requests the picker let go, in order, by wave")


def _flowing(configuration: dict[str, Any]) -> None:
    """Flow control; at normal priority tenants take turns, and little may wait at priority 1."""
    configuration["featureGates"] = ["flowControl"]
    configuration["plugins"].append({"type": "round-robin-fairness-policy", "name": "turns"})
    configuration["flowControl"] = {
        "defaultRequestTTL": "20s",
        "priorityBands": [{"priority": 0, "fairnessPolicyRef": "turns"}, {"priority": 1, "maxBytes": ROOM}],
    }


@scenario(system="routing", timeout=40)
def flows(lab: RoutingLab) -> None:
    """Low priority before high, many requests of one tenant before few of another, and more bytes than may queue."""
    arm = Arm(profile="least-loaded", replicas=2, gateway=None, cache=Cache(blocks=0), simulator_flags=FAKE,
              verbosity=5, change_picker=then(only("queue-scorer"), patient, _flowing))  # fmt: skip
    with opened(lab, arm) as site:
        for name, priority in (("low", 0), ("bounded", 1), ("high", 10)):
            place(site, crds.INFERENCE_OBJECTIVE, name, {"priority": priority})
        try:
            _waves(site, [("low", GROUP, "low"), ("high", GROUP, "high")])
            _waves(site, [("many", MANY, None), ("few", FEW, None)])
            _waves(site, [("bounded", 4, "bounded")], words=LARGE)
        finally:
            for name in ("low", "bounded", "high"):
                lab.api.delete(crds.INFERENCE_OBJECTIVE.name, name, site.routing.namespace)


def _waves(site: Deployment, waves: Sequence[tuple[str, int, str | None]], words: int = 40) -> None:
    """Saturate the pool, let waves (name, requests, objective) of a tenant each queue up in this order, make room.

    Notes under the last wave's name whose requests were let go, in order.
    """
    picker = site.routing.picker
    assert picker is not None
    load(site, 20)
    read_again(site)
    queued, began = 0, picker.log_offset()
    with ThreadPoolExecutor(len(waves)) as aside:
        running: list[Future[list[RequestRow]]] = []
        for name, count, objective in waves:
            prompts = prompt_set([words] * count, seed=61, prefix=f"{name}-")
            headers = {FAIRNESS_HEADER: name} | ({OBJECTIVE_HEADER: objective} if objective else {})
            running.append(aside.submit(pick, site, name, prompts, at_once=count, headers=headers))
            queued += count
            site.lab.observe(lambda queued=queued: _settled(site, queued, running), f"{name} queued", timeout=2)
        load(site, 0)
        for one in running:
            one.result()
    lines, _ = picker.log_lines(began)
    order = [str(line["flowKey"]).rpartition(":")[0] for line in lines if line.get("msg") == DISPATCHED]
    site.lab.note_under(LET_GO, waves[-1][0], order)


def _settled(site: Deployment, count: int, running: Sequence[Future[list[RequestRow]]]) -> bool:
    picker = site.routing.picker
    assert picker is not None
    waiting = total(picker.metrics(), "inference_extension_flow_control_queue_size")
    return waiting >= count or running[-1].done()


@behaviour(
    "llmd.flow.priority-first", level=MUST, spec=FLOW, mutant="priorities-lost", timed=True,
    red_when="a request of low priority is dispatched before a waiting one of high priority",
)  # fmt: skip
def test_high_priority_is_let_go_first(flows: RoutingRecording, measure: Measure) -> None:
    """Eight requests of priority 10 are dispatched before eight earlier ones of priority 0, with one swap at most."""
    assert not routing.failure_findings([*flows.asks("low"), *flows.asks("high")])
    order = flows.note(LET_GO)["high"]
    first = order[:GROUP].count("high")
    measure.value(high_among_first=first)
    assert len(order) == 2 * GROUP, order
    assert first >= GROUP - 1, order


@behaviour(
    "llmd.flow.fair-turns", level=SHOULD, spec=FLOW, mutant="turns-lost", timed=True,
    red_when="a tenant with few requests waits until another one with many has been served",
)  # fmt: skip
def test_tenants_take_turns(flows: RoutingRecording, measure: Measure) -> None:
    """With round-robin fairness 4 requests are dispatched in turn with 12 earlier ones of another tenant."""
    assert not routing.failure_findings([*flows.asks("many"), *flows.asks("few")])
    order = flows.note(LET_GO)["few"]
    assert len(order) == MANY + FEW, order
    places = [place for place, tenant in enumerate(order) if tenant == "few"]
    measure.value(mean_place_of_few=fmean(places))
    # in turns 0 or 1, 2 or 3, ..: 3.5 on average; who came first is served first: 13.5
    assert fmean(places) <= (3.5 + 13.5) / 2, places


@behaviour(
    "llmd.flow.capacity", level=MUST, spec=FLOW, mutant="room-unlimited", timed=True,
    red_when="more bytes wait in flow control than its capacity allows",
)  # fmt: skip
def test_only_so_many_bytes_may_wait(flows: RoutingRecording) -> None:
    """Of four requests of 12 kB to a queue with room for 30 kB, two are refused with 429 and two are served."""
    found = Counter(row.status for row in flows.asks("bounded"))  # None where no answer came in time
    assert found == {200: 2, 429: 2}, dict(found)
