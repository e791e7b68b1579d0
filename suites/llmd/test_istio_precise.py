"""Precise prefix routing behind Istio: the picker's choice arrives, whatever stands between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpuassay import MUST, Measure, behaviour, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.istio import NEEDS
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import drawn_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

SPEC = "https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api-inference-extension/"
ASKS = 16
TOKENS = 200
REPLICAS = 8
ARMS = ("precise", "random")


@scenario(system="routing", needs=NEEDS, timeout=60)
def warmed_behind_istio(lab: RoutingLab) -> None:
    """Each of 16 prompts is sent to one replica directly, then through Istio, with precise and with random routing."""
    for profile in ARMS:
        asked = prompt_set([TOKENS] * ASKS, seed=20 + ARMS.index(profile), prefix=f"istio-{profile}")
        prompts = {prompt.label: prompt for prompt in asked}
        with opened(lab, Arm(profile=profile, replicas=REPLICAS, gateway="istio"), name=profile) as site:
            site.warm({label: site.replicas[(5 * i) % REPLICAS] for i, label in enumerate(prompts)}, prompts)
            site.ask(profile, list(prompts.values()))


@behaviour(
    "llmd.istio.follows-the-cache", level=MUST, spec=SPEC, timed=True,
    red_when="behind Istio a request does not go to the replica that has its prefix cached", mutant="picker-random",
)  # fmt: skip
def test_behind_istio_a_request_goes_where_its_prefix_is(
    warmed_behind_istio: RoutingRecording, measure: Measure
) -> None:
    """At least 15 of 16 requests through Istio reach the replica whose prefix cache was warmed directly."""
    score = routing.direct_warm(warmed_behind_istio.asks("precise"), warmed_behind_istio.note(notes.WARMED), REPLICAS)
    measure.value(found=score.hits, asked=score.asks)
    assert not routing.direct_warm_findings(score)


@behaviour(
    "llmd.istio.control-cannot-know", level=MUST, spec="measurement: negative control",
    red_when="a random endpoint picker finds the warm replica, so the test leaks which one it is",
    mutant="precise-everywhere",
)  # fmt: skip
def test_behind_istio_a_random_picker_does_not_find_it(warmed_behind_istio: RoutingRecording, measure: Measure) -> None:
    """Behind Istio a random endpoint picker finds the warm replica no more often than by chance."""
    rows, warmed = warmed_behind_istio.asks("random"), warmed_behind_istio.note(notes.WARMED)
    score = routing.direct_warm(rows, warmed, REPLICAS)
    measure.value(found=score.hits, asked=score.asks)
    assert not drawn_findings(rows, warmed, REPLICAS)


@pytest.mark.parametrize("profile", ARMS)
@behaviour(
    "llmd.istio.precise-picker-is-asked", level=MUST, spec=SPEC,
    red_when="Istio answers without consulting the endpoint picker", mutant="istio-picker-cut-out",
)  # fmt: skip
def test_behind_istio_every_answer_carries_the_mark(warmed_behind_istio: RoutingRecording, profile: str) -> None:
    """Every response carries the header that only the endpoint picker adds."""
    assert not routing.failure_findings(warmed_behind_istio.asks(profile))
    assert not routing.asked_findings(warmed_behind_istio.asks(profile))
