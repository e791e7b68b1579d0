"""Streams of real model-server simulators through the gateway: their pace, and what is left of those that are left."""

from __future__ import annotations

import contextlib
import time

from gpuassay import MUST, SHOULD, Measure, Note, WaitTimeout, behaviour, known_defect, scenario, wait
from gpuassay.load.plan import ClosedLoop
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.judge import metrics as routing_metrics
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SIMULATOR = "https://github.com/llm-d/llm-d-inference-sim/blob/v0.10.2/pkg/communication/http.go"
SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/753"

INTER_TOKEN = 0.02
TOKENS = 30
STREAMS = 12
LONG = 300
"""Tokens of the streams that are left: six seconds, far more than the limit for giving a slot free."""
FREED_SECONDS = 2.0


DIRECT = Note("direct", dict[str, float], "streams that ran, that still ran after their clients left, and s until then")
GATEWAY = Note("gateway", dict[str, float], "the same, through the gateway")


def _running(site: Deployment) -> float:
    return sum(total(replica.metrics(), "vllm:num_requests_running") for replica in site.replicas)


@scenario(system="routing", timeout=40)
def streamed(lab: RoutingLab) -> None:
    """Twelve streams of 30 tokens, 20 ms apart; then four long ones whose clients disconnect after three chunks."""
    latency = Latency(inter_token=INTER_TOKEN, factor_under_load=1.0, max_running=64, constant_ttft=0.0)
    with opened(lab, Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=latency)) as site:
        prompts = {prompt.label: prompt for prompt in prompt_set([40] * 4)}
        site.scrape("before")
        site.load("streams", prompts, [*prompts] * (STREAMS // 4), ClosedLoop(concurrency=4), max_tokens=TOKENS)
        wait(lambda: _running(site), lambda seen: seen == 0, what="all streams to have ended", timeout=10)
        site.scrape("after")
        direct = _left(site, "left directly", 2, tokens=60, url=site.replicas[0].url, patience=0.5)
        wait(lambda: _running(site), lambda seen: seen == 0, what="all streams to have ended", timeout=10)
        lab.note(DIRECT, direct)
        lab.note(GATEWAY, _left(site, "left", 4, tokens=LONG, url=None, patience=1.5 * FREED_SECONDS))


def _left(
    site: Deployment, wave: str, count: int, *, tokens: int, url: str | None, patience: float
) -> dict[str, float]:
    """Leave streams after three chunks: how many ran then, how many run in the end, and how long that was watched."""
    running: list[float] = []

    def on_chunk(number: int) -> bool:
        if number == 3:
            running.append(_running(site))
        return number < 3

    Calls(site).many(wave, count, at_once=count, stream=True, max_tokens=tokens, on_chunk=on_chunk, url=url)
    left = time.monotonic()
    with contextlib.suppress(WaitTimeout):  # the judge sees it
        wait(lambda: _running(site), lambda seen: seen == 0, what="slots to be free", timeout=patience)
    return {"running": max(running, default=0), "still": _running(site), "seconds": time.monotonic() - left}


@behaviour(
    "llmd.gateway.streams-keep-their-pace", level=MUST, spec=SPEC, timed=True,
    red_when="the gateway or the endpoint picker buffers the text of a stream", mutant="gateway-buffers",
)  # fmt: skip
def test_the_first_text_comes_well_before_the_last(streamed: RoutingRecording) -> None:
    """In streams of 30 tokens, 20 ms apart, the first text arrives at least 0.29 s before the last."""
    assert not gateway.buffering_findings(streamed.asks("streams"), TOKENS, INTER_TOKEN)
    assert not routing.asked_findings(streamed.asks("streams"))


@behaviour(
    "llmd.gateway.streams-are-generated-once", level=MUST, spec=SPEC, timed=True,
    red_when="model servers generate more responses than clients requested", mutant="gateway-asks-twice",
)  # fmt: skip
def test_every_stream_is_generated_once(streamed: RoutingRecording) -> None:
    """Twelve streams raise the model servers' count of successful requests by exactly twelve."""
    before, after = (streamed.metrics(label) for label in ("before", "after"))
    assert not routing_metrics.growth_findings(before, after, {"requests_succeeded": STREAMS})


@known_defect(
    SIMULATOR, "the simulator generates to the end whoever reads it, also when it is left without a gateway",
    shows="requests still run .* after all clients disconnected",
)  # fmt: skip
@behaviour(
    "llmd.gateway.leaving-frees-the-slot", level=SHOULD, spec=SPEC,
    red_when="a model server keeps generating for clients that have disconnected",
)  # fmt: skip
def test_streams_that_are_left_free_their_slots(streamed: RoutingRecording, measure: Measure) -> None:
    """Within 2 s of clients' disconnecting in mid-stream, vllm:num_requests_running is 0."""
    direct, through = streamed.note(DIRECT), streamed.note(GATEWAY)
    measure.value(running=through["running"], still=through["still"], still_without_gateway=direct["still"])
    assert through["running"] >= 2, "the streams ended before their clients disconnected: nothing is proved"
    assert through["still"] == 0 and through["seconds"] <= FREED_SECONDS, (
        f"requests still run {FREED_SECONDS:g} s after all clients disconnected: "
        f"{through['still']:g} of {through['running']:g} after {through['seconds']:.1f} s "
        f"(without a gateway: {direct['still']:g} of {direct['running']:g} after {direct['seconds']:.1f} s)"
    )
