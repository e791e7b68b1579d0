"""Scheduling by load: the picker reads what model servers report, and sends requests where the scorers say.

Model servers report what the scenario writes; picks are asked of the picker alone, and nothing is served.
"""

from __future__ import annotations

import json

from gpuassay import MUST, SHOULD, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import only, pick, read_again, reconfigure, report
from gpuassay.systems.llmd.component.simulator import Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import only_findings, reached_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/pkg/epp/framework/plugins/scheduling/scorer"

PICKS = 24
TIES = 96
IDLE: dict[str, int | list[str]] = {"running-requests": 0, "waiting-requests": 0, "kv-cache-usage": 0, "loras": []}
NAMES = [f"model-server-{i}" for i in range(3)]
REPORTING = ("--fake-metrics", json.dumps(IDLE), "--max-loras", "2")


@scenario(system="routing", timeout=30)
def loads(lab: RoutingLab) -> None:
    """Three replicas report different queues, KV-cache usage, running requests and adapters to several scorers."""
    prompts = prompt_set([40] * PICKS, seed=1)
    arm = Arm(profile="least-loaded", replicas=3, gateway=None, cache=Cache(blocks=0), simulator_flags=REPORTING)
    with opened(lab, arm) as site:
        pick(site, "equal", prompt_set([40] * TIES, seed=2))
        for replica, waiting in zip(site.replicas, (5, 0, 10), strict=True):
            report(replica, waiting_requests=waiting)
        reconfigure(site, only("queue-scorer"))
        pick(site, "queue", prompts)
        for replica, usage in zip(site.replicas, (0.1, 0.5, 0.9), strict=True):
            report(replica, waiting_requests=0, kv_cache_usage=usage)
        reconfigure(site, only("kv-cache-utilization-scorer"))
        pick(site, "cache use", prompts)
        reconfigure(site, only(("queue-scorer", 2.0), ("kv-cache-utilization-scorer", 1.0)))
        for replica, waiting in zip(site.replicas, (8, 8, 0), strict=True):
            report(replica, waiting_requests=waiting)
        read_again(site)
        pick(site, "weighed", prompts)
        for replica, running in zip(site.replicas, (8, 4, 0), strict=True):
            report(replica, running_requests=running, waiting_requests=0, kv_cache_usage=0)
        reconfigure(site, only("running-requests-size-scorer"))
        pick(site, "running", prompts)
        for replica, adapters in zip(site.replicas, ("sql", "chat,code", "news"), strict=True):
            report(replica, loras=[{"running": adapters, "waiting": "", "timestamp": 1}])
        reconfigure(site, only("lora-affinity-scorer"))
        pick(site, "adapter", prompts, model="sql")
        pick(site, "other adapter", prompts, model="poem")
        for replica, adapters in zip(site.replicas, ("sql,news", "chat,code", ""), strict=True):
            report(replica, loras=[{"running": adapters, "waiting": "", "timestamp": 2}])
        read_again(site)
        pick(site, "idle with room", prompts, model="poem")


@behaviour(
    "llmd.scheduling.queue-depth", level=MUST, spec=SPEC,
    red_when="a request is sent to a replica whose queue is not the shortest", mutant="scores-inverted",
)  # fmt: skip
def test_requests_go_to_the_shortest_queue(loads: RoutingRecording) -> None:
    """With queues of 5, 0 and 10 requests, every request goes to the empty one."""
    assert not only_findings(loads.asks("queue"), {NAMES[1]})


@behaviour(
    "llmd.scheduling.kv-cache-utilisation", level=MUST, spec=SPEC,
    red_when="a request is sent to a replica whose KV cache is fuller than another's", mutant="scores-inverted",
)  # fmt: skip
def test_requests_go_where_the_kv_cache_is_emptiest(loads: RoutingRecording) -> None:
    """With KV caches filled to 10, 50 and 90 %, every request goes to the emptiest."""
    assert not only_findings(loads.asks("cache use"), {NAMES[0]})


@behaviour(
    "llmd.scheduling.weights", level=MUST, spec=SPEC,
    red_when="scorers are not summed by their weights", mutant="scores-inverted",
)  # fmt: skip
def test_the_heavier_scorer_wins(loads: RoutingRecording) -> None:
    """An empty queue (weight 2) outweighs a KV cache filled to 90 % (weight 1)."""
    assert not only_findings(loads.asks("weighed"), {NAMES[2]})


@behaviour(
    "llmd.scheduling.running-requests", level=MUST, spec=SPEC,
    red_when="a request is sent to a replica that runs more requests than another", mutant="scores-inverted",
)  # fmt: skip
def test_requests_go_where_the_fewest_run(loads: RoutingRecording) -> None:
    """With 8, 4 and no running requests, every request goes to the idle replica."""
    assert not only_findings(loads.asks("running"), {NAMES[2]})


@behaviour(
    "llmd.scheduling.lora-affinity", level=MUST, spec=SPEC,
    red_when="a request for an adapter goes to a replica that would have to load it", mutant="scores-inverted",
)  # fmt: skip
def test_an_adapter_is_asked_where_it_is_loaded(loads: RoutingRecording) -> None:
    """Requests for a LoRA adapter go to the one replica that has it active."""
    assert not only_findings(loads.asks("adapter"), {NAMES[0]})


@behaviour(
    "llmd.scheduling.lora-room", level=MUST, spec=SPEC,
    red_when="a request for an adapter is sent to a replica that has no room to load it", mutant="scores-inverted",
)  # fmt: skip
def test_a_new_adapter_goes_where_there_is_room(loads: RoutingRecording) -> None:
    """Requests for a LoRA adapter loaded nowhere go to all replicas with room, and never to the full one."""
    rows = loads.asks("other adapter")
    assert not only_findings(rows, {NAMES[0], NAMES[2]}) + reached_findings(rows, {NAMES[0], NAMES[2]})


@known_defect(
    "https://github.com/llm-d/llm-d-router/issues/2605",
    "a replica without adapters in flight reports nothing, and counts as one that can load none",
    shows=r"picks to be model-server-2, seen \d+ elsewhere: #\d+ \w+: 200 by",
)
@behaviour(
    "llmd.scheduling.lora-idle-replica", level=SHOULD, spec=SPEC,
    red_when="a request for an adapter is sent to a full replica while an idle one could load it",
)  # fmt: skip
def test_an_idle_replica_is_given_a_new_adapter(loads: RoutingRecording) -> None:
    """Requests for a LoRA adapter loaded nowhere go to the idle replica rather than to full ones."""
    assert not only_findings(loads.asks("idle with room"), {NAMES[2]})


@behaviour(
    "llmd.scheduling.ties-spread-evenly", level=MUST, spec=SPEC,
    red_when="replicas that are equally good are not picked equally often", mutant="one-endpoint-left",
)  # fmt: skip
def test_ties_are_broken_evenly(loads: RoutingRecording) -> None:
    """Among three replicas that report the same, 96 requests are spread evenly (chi-square, false alarm 1e-4)."""
    assert not routing.uniformity_findings(loads.asks("equal"), NAMES, TIES)
