"""Ties: where several replicas are equally good, all of them get requests, and nobody else does.

Every subset of four replicas is at the top once, by its queues and by what it has cached. A picker that takes the first
of equals, or draws from a wrong set, serves well until the day on which one replica gets everything.
"""

from __future__ import annotations

import itertools
import random

from gpuassay import MUST, SHOULD, Measure, behaviour, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import FAKE, await_averages, only, pick, report
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge.ties import burst_findings, tie_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set, synthetic
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/pkg/epp/framework/plugins/scheduling/picker"
BURSTS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/1700"

REPLICAS, PICKS, BURST = 4, 64, 16
NAMES = tuple(f"model-server-{i}" for i in range(REPLICAS))
SUBSETS = tuple(one for size in range(1, REPLICAS + 1) for one in itertools.combinations(NAMES, size))


def wave(kind: str, subset: tuple[str, ...]) -> str:
    """Name of the picks while a subset is at the top."""
    return f"{kind}/{'+'.join(name[-1] for name in subset)}"


@scenario(system="routing", timeout=60)
def queues_tie(lab: RoutingLab) -> None:
    """Each subset of four replicas reports empty queues, the others long ones."""
    arm = Arm(profile="least-loaded", replicas=REPLICAS, gateway=None, cache=Cache(blocks=0), simulator_flags=FAKE,
              change_picker=only("queue-scorer"))  # fmt: skip
    with opened(lab, arm) as site:
        prompts = prompt_set([40] * PICKS, seed=81)
        for number, subset in enumerate(SUBSETS):
            waiting = REPLICAS * (10 * number + 1)  # another mean each time, and a whole number: that is waited for
            for replica in site.replicas:
                report(replica, waiting_requests=0 if replica.name in subset else waiting)
            await_averages(site, queue=(REPLICAS - len(subset)) * waiting / REPLICAS, cache=0)
            pick(site, wave("queue", subset), prompts, at_once=4)


@scenario(system="routing", timeout=20)
def burst(lab: RoutingLab) -> None:
    """Sixteen requests at once to four idle replicas."""
    arm = Arm(profile="least-loaded", replicas=REPLICAS, gateway=None, cache=Cache(blocks=0), latency=NO_LATENCY)
    with opened(lab, arm) as site:
        pick(site, "burst", prompt_set([40] * BURST, seed=82), at_once=BURST)


@scenario(system="routing", timeout=60)
def caches_tie(lab: RoutingLab) -> None:
    """Each subset of four replicas is warmed with a prompt of its own."""
    arm = Arm(profile="precise-no-speculation", replicas=REPLICAS, gateway=None, cache=Cache(), latency=NO_LATENCY)
    order = random.Random(83).sample(SUBSETS, len(SUBSETS))
    with opened(lab, arm) as site:
        for number, subset in enumerate(order):
            prompt = synthetic(f"tie{number}", 64, 84)
            for replica in site.replicas:
                if replica.name in subset:
                    site.warm({prompt.label: replica}, {prompt.label: prompt})
            pick(site, wave("cache", subset), [prompt] * PICKS, at_once=4)


def _findings(recording: RoutingRecording, kind: str, measure: Measure) -> list[str]:
    measure.value(subsets=len(SUBSETS), picks=PICKS * len(SUBSETS))
    return [one for subset in SUBSETS for one in tie_findings(recording.asks(wave(kind, subset)), subset)]


@behaviour(
    "llmd.ties.queues", level=MUST, spec=SPEC, mutant="scores-inverted", timed=True,
    red_when="of replicas with equally short queues one gets far more requests than its part, or another one gets any",
)  # fmt: skip
def test_equal_queues_share_requests(queues_tie: RoutingRecording, measure: Measure) -> None:
    """Whichever of four replicas have the shortest queues, 64 picks go to these alone, and to each of them alike."""
    found = _findings(queues_tie, "queue", measure)
    assert not found, "\n".join(found)


@behaviour(
    "llmd.ties.caches", level=MUST, spec=SPEC, mutant="scores-inverted", timed=True,
    red_when="of replicas that have a prompt one gets far more requests than its part, or another one gets any",
)  # fmt: skip
def test_equal_caches_share_requests(caches_tie: RoutingRecording, measure: Measure) -> None:
    """Whichever of four replicas have a prompt cached, 64 picks for it go to these alone, and to each of them alike."""
    found = _findings(caches_tie, "cache", measure)
    assert not found, "\n".join(found)


@behaviour(
    "llmd.ties.burst", level=SHOULD, spec=BURSTS, mutant="one-endpoint-left",
    red_when="of a burst to an idle pool one replica gets more than chance explains",
)  # fmt: skip
def test_a_burst_is_spread(burst: RoutingRecording, measure: Measure) -> None:
    """Of 16 requests at once to four idle replicas none gets more than chance allows (p = 1e-5)."""
    rows = burst.asks("burst")
    measure.value(largest=max(sum(row.served_by == name for row in rows) for name in NAMES))
    assert not burst_findings(rows, REPLICAS)
