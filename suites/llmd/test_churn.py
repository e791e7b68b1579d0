"""Churn under load: the pool changes all the time while streams run, and no request is lost, refused or held up.

At every moment at least two of four replicas are Ready, and a Pod that is not Ready goes on serving what it has begun:
so there is never a reason to fail a request. What the programs count must add up once it is over (the referee of
routing at rest looks at every arm).
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

from gpuassay import MUST, Measure, Note, behaviour, scenario
from gpuassay.load.plan import ClosedLoop
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import place
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import churn as judge
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals/004-endpoint-picker-protocol"

STREAMS, AT_ONCE, TOKENS = 240, 16, 64
LATENCY = Latency(inter_token=0.01, factor_under_load=1.0, max_running=64, constant_ttft=0.02)

CHANGES = Note("pool_changes", int, "changes of the pool, and of objects beside it, while the streams ran")


@scenario(system="routing", timeout=60)
def churned(lab: RoutingLab) -> None:
    """240 streams, 16 at a time, while Pods flap, leave and return, and objectives come and go."""
    with opened(lab, Arm(profile="precise-load", replicas=4, cache=Cache(), latency=LATENCY)) as site:
        prompts = {prompt.label: prompt for prompt in prompt_set([96] * 12, seed=91)}
        order = list(itertools.islice(itertools.cycle(prompts), STREAMS))
        hands, changes = site.routing.endpoints, 0
        with ThreadPoolExecutor(1) as aside:
            running = aside.submit(
                site.load, "streams", prompts, order, ClosedLoop(concurrency=AT_ONCE), max_tokens=TOKENS
            )
            for number in itertools.count():
                replica, other = (site.replicas[(number + step) % 4].name for step in (0, 1))
                hands.set_ready(replica, ready=False)
                hands.delete(other)
                place(site, crds.INFERENCE_OBJECTIVE, "passing", {"priority": number % 3})
                hands.set_ready(replica, ready=True)
                hands.restore(other)
                lab.api.delete(crds.INFERENCE_OBJECTIVE.name, "passing", site.routing.namespace)
                changes += 6
                if running.done():
                    break
            running.result()
        lab.note(CHANGES, changes)


@behaviour(
    "llmd.churn.no-request-lost", level=MUST, spec=SPEC, mutant="gateway-hurries",
    red_when="a stream is refused, cut or answered twice while Pods leave and return and others are Ready",
)  # fmt: skip
def test_no_request_is_lost_while_the_pool_changes(churned: RoutingRecording, measure: Measure) -> None:
    """Of 240 streams during a steady change of the pool every one is answered in full, once."""
    measure.value(changes=churned.note(CHANGES))
    assert churned.note(CHANGES) >= 6
    assert not judge.account_findings(churned.asks("streams"), STREAMS)


@behaviour(
    "llmd.churn.progress", level=MUST, spec=SPEC, mutant="gateway-hurries", timed=True,
    red_when="streams stand still for two seconds while the pool changes",
)  # fmt: skip
def test_streams_go_on_while_the_pool_changes(churned: RoutingRecording, measure: Measure) -> None:
    """Among 240 streams, 16 at a time, there are never 2 s in which none of them ends."""
    rows = churned.asks("streams")
    measure.value(longest_s=judge.longest_pause(rows))
    assert not judge.pause_findings(rows)
