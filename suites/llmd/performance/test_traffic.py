"""Traffic that shares prefixes, conversations that grow, and the highest rate that a policy carries."""

from __future__ import annotations

import msgspec
import pytest

from gpuassay import MUST, SHOULD, Measure, behaviour, scenario
from gpuassay.load.gate import MIN_RATE_SHARE, Control, require_valid
from gpuassay.presence import must_have
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.metrics import counter_hit_rate, delta
from gpuassay.systems.llmd.judge.performance import GainBars, gain, gain_verdicts
from gpuassay.systems.llmd.judge.saturation import (
    Step,
    answered_findings,
    carried_by,
    not_the_machine,
    prediction_findings,
    require_sent,
    steps,
    times,
    times_verdict,
)
from gpuassay.systems.llmd.model.closed import longest_prefix_hits
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from suites.llmd.performance import traffic, traffic_exhibits
from suites.llmd.performance.limits import LIMITS, settle
from suites.llmd.performance.traffic import BURST, SHAPES, SHARED, TURNS, wave

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

CACHE = "https://docs.vllm.ai/en/stable/features/automatic_prefix_caching/"
GAIE = "https://gateway-api-inference-extension.sigs.k8s.io/guides/epp-configuration/prefix-aware/"
SLACK = LIMITS.limit("hit_rate_slack")
BOUND = LIMITS.limit("saturation_p95_ttft_s")
TIMES = LIMITS.limit("saturation_times")
BURST_SHARE = LIMITS.limit("burst_hit_share")
SHAPE_RATIO = LIMITS.limit("shape_mean_ratio")


@scenario(system="routing", alone="machine", timeout=7200)
def climb(lab: RoutingLab) -> None:
    """Tenants with system prompts, growing conversations, a burst, then rising request rates, under every policy."""
    traffic.act(lab)


def control_of(recording: RoutingRecording, name: str) -> Control:
    """The generator's own error: `shapes` or `staircase`."""
    return recording.note(traffic.CONTROL)[name]


def climbed(recording: RoutingRecording, arm: str) -> list[Step]:
    """The steps of an arm."""
    return steps(recording.asks(wave(arm, "staircase")), recording.note(traffic.STAIRS)[arm])


@behaviour(
    "llmd.performance.traffic-answered", level=MUST, spec=GAIE,
    red_when="a request is lost, fails, or bypasses the endpoint picker", mutant="picker-not-asked",
)  # fmt: skip
def test_every_request_is_answered_whatever_the_traffic(climb: RoutingRecording, measure: Measure) -> None:
    """Every request is answered through the endpoint picker, in every traffic shape and at rates beyond saturation."""
    for arm in climb.note(notes.WAYS):
        for what in (*SHAPES, BURST, "staircase"):
            rows = climb.asks(wave(arm, what))
            assert not answered_findings(rows)
            assert not routing.asked_findings(rows)
    found = {arm: climbed(climb, arm) for arm in climb.note(notes.WAYS)}
    traffic_exhibits.show(climb, measure, found, BOUND, {n: control_of(climb, n) for n in ("shapes", "staircase")})


@pytest.mark.parametrize("arm", ["random", "precise"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape).replace(" ", "-"))
@behaviour(
    "llmd.performance.shape-hits", level=MUST, spec=CACHE,
    red_when="the share of cached tokens differs from what the model of the routing policy predicts",
    mutant="picker-random-or-precise",
)  # fmt: skip
def test_traffic_that_shares_prefixes_hits_as_the_model_says(
    climb: RoutingRecording, measure: Measure, shape: str, arm: str
) -> None:
    """By the servers' counters the hit rate is the model's: within its interval (random) or to the token (precise)."""
    before, after = (climb.metrics(wave(arm, what)) for what in ({SHARED: "begin", TURNS: SHARED}[shape], shape))
    rate, model = counter_hit_rate(before, after), traffic.modelled(arm)[shape].hit_rate
    measure.value(hit_rate=rate, model=model.mean)
    measure.interval(model.low, model.high)
    if arm == "precise":
        asked = traffic.traffic()
        chains = [asked.chains[place] for place in asked.passes[SHAPES.index(shape)]]
        wanted = longest_prefix_hits(chains, traffic.CACHE.block_size)
        seen = delta(before, after, "prefix_cache_hits")
        measure.value(cached_tokens=seen, longest_prefixes=wanted)
        assert seen == wanted, f"{shape}: expected {wanted} cached tokens, longest prefixes sent before, seen {seen}"
    assert not routing.hit_rate_findings(rate, model, f"hit rate of {shape} under {arm} routing", SLACK)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape).replace(" ", "-"))
@behaviour(
    "llmd.performance.shape-sticks", level=MUST, spec=GAIE,
    red_when="a tenant's requests, or the turns of a conversation, are spread over replicas", mutant="picker-random",
)  # fmt: skip
def test_a_tenant_and_a_conversation_stay_on_one_replica(climb: RoutingRecording, shape: str) -> None:
    """Under precise routing, all requests of a tenant and all turns of a conversation go to one replica."""
    assert not routing.stickiness_findings(_grouped(climb, "precise", shape))


@behaviour(
    "llmd.performance.burst-hits", level=SHOULD, spec=GAIE,
    red_when="simultaneous requests with the same prefix are spread over replicas before KV-cache events arrive",
    mutant="speculation-off",
)  # fmt: skip
def test_a_burst_of_a_tenant_stays_together(climb: RoutingRecording, measure: Measure) -> None:
    """48 simultaneous requests of 8 tenants hit at least 90 % of the tokens that they would hit one after another."""
    before, after = (climb.metrics(wave("precise", what)) for what in (TURNS, BURST))
    seen, wanted = delta(before, after, "prefix_cache_hits"), traffic.burst_hits()
    measure.value(cached_tokens=seen, longest_prefixes=wanted)
    measure.threshold(BURST_SHARE)
    assert seen >= BURST_SHARE * wanted, f"burst: expected at least {BURST_SHARE:.0%} of {wanted} tokens, seen {seen}"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape).replace(" ", "-"))
@behaviour(
    "llmd.performance.shape-gain", level=SHOULD, spec=GAIE,
    red_when="precise routing does not lower TTFT for prompts that share prefixes but never repeat",
    mutant="picker-random-or-precise",
)  # fmt: skip
def test_sharing_a_prefix_is_enough_to_gain(climb: RoutingRecording, measure: Measure, shape: str) -> None:
    """Even if no prompt repeats, mean TTFT under random routing is at least 1.5 times that under precise routing."""
    found = gain("cold", traffic.STREAMS, *([_grouped(climb, arm, shape)] for arm in ("precise", "random")))
    effect = found.mean_ratio
    measure.value(value=effect.value, **{f"model_{a}_s": traffic.modelled(a)[shape].mean_ttft.mean for a in _PAIR})
    measure.interval(effect.low, effect.high)
    measure.threshold(SHAPE_RATIO)
    require_valid(control_of(climb, "shapes"), 60.0)  # the shortest TTFT that the model servers have
    settle(gain_verdicts(found, GainBars(SHAPE_RATIO))["mean_ratio"], climb)


_PAIR = ("random", "precise")


def _grouped(recording: RoutingRecording, arm: str, shape: str) -> list[RequestRow]:
    """Rows labelled by tenant or conversation: they hit or miss together, so intervals are over these."""
    rows = recording.asks(wave(arm, shape))
    return [msgspec.structs.replace(row, label=row.label.split(".")[0]) for row in rows]


@behaviour(
    "llmd.performance.saturation", level=SHOULD, spec=GAIE,
    red_when="precise routing does not let the same replicas sustain three times the request rate",
    mutant="picker-random-or-precise",
)  # fmt: skip
def test_precise_routing_carries_a_multiple_of_the_rate(climb: RoutingRecording, measure: Measure) -> None:
    """With p95 TTFT within 2 s, precise routing sustains at least 3 times the request rate of random routing."""
    found = {arm: climbed(climb, arm) for arm in _PAIR}
    rates = {arm: carried_by(found[arm], BOUND) for arm in _PAIR}
    measure.value(**{f"{arm}_carries": one.within for arm, one in rates.items()})
    seen = times(rates["precise"], rates["random"])
    measure.interval(seen.low, min(seen.high, 1e9))
    measure.threshold(TIMES)
    _require_generator(climb, found)
    settle(times_verdict(seen, TIMES), climb)


@pytest.mark.parametrize("arm", _PAIR)
@behaviour(
    "llmd.performance.saturation-model", level=SHOULD, spec=GAIE,
    red_when="a routing policy saturates at another rate than the model predicts", mutant="picker-random-or-precise",
)  # fmt: skip
def test_a_policy_saturates_where_the_model_says(climb: RoutingRecording, measure: Measure, arm: str) -> None:
    """The highest rate with p95 TTFT within 2 s lies in the model's interval, or one rate step below it."""
    stairs, found = climb.note(traffic.STAIRS)[arm], climbed(climb, arm)
    model = traffic.predicted(arm, stairs, BOUND)
    measure.value(carried=carried_by(found, BOUND).within, model=model.within.mean)
    measure.interval(model.within.low, model.within.high)
    _require_generator(climb, {arm: found})
    lowest = must_have(found, "steps")[0]  # an arm that answers nothing carries nothing, whatever its policy
    assert lowest.answered == lowest.asked, f"{lowest.answered} of {lowest.asked} answered at {lowest.rate:g} /s"
    if findings := prediction_findings(found, BOUND, model):
        others = [climbed(climb, other) for other in climb.note(notes.WAYS) if other != arm]
        if not not_the_machine(found, BOUND, model, others if climb.note(traffic.TOGETHER) > 1 else ()):
            LIMITS.refuse_noise(climb)
        pytest.fail("; ".join(findings), pytrace=False)


def _require_generator(recording: RoutingRecording, found: dict[str, list[Step]]) -> None:
    require_valid(control_of(recording, "staircase"), BOUND * 1e3, at=0.99)
    for each in found.values():
        require_sent(each, MIN_RATE_SHARE)
