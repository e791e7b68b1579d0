"""Figure 5 on the paper's own kind of gateway: what Istio and a picker behind it add to TTFT."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from gpuassay import INFO, MUST, Measure, behaviour, scenario
from gpuassay.load.gate import require_valid
from gpuassay.presence import must_have
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.istio import NEEDS
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.performance import bound_verdict, growth_verdict, paper_band_verdict, worst_of
from gpuassay.systems.llmd.model.paper import FIGURE_5
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.performance.exhibits5 import SECTION, added, busy_of, concurrencies, control_of, rounds_of
from suites.llmd.performance.limits import settle
from suites.llmd.performance.load5 import DIRECT, LOADS, WAYS, Asked, Load, fill_caches, rounds

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment
    from gpuassay.systems.llmd.acts.lab import RoutingLab
    from gpuassay.systems.llmd.judge.performance import Overhead

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

PAPER = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Figure 5"
SERVICE, POOL = "istio-service", "istio-pool"
TITLES = {
    DIRECT: "model server directly",
    SERVICE: "Istio, HTTPRoute to a Service",
    POOL: "Istio, HTTPRoute to an InferencePool, random picker",
}
TOKENS = 100
QUICK = (Load(TOKENS, (1, 8, 32), 4, 12),)
FULL = (Load(TOKENS, (1, 2, 4, 8, 16, 32), 7, 20), Load(850, (1, 8, 32), 7, 20))


@scenario(system="routing", alone="machine", needs=NEEDS, timeout=3600)
def ways_through_istio(lab: RoutingLab) -> None:
    """One zero-latency model server: directly, through Istio to a Service, and through Istio to an InferencePool."""
    loads = FULL if lab.full else QUICK
    cache = Cache(blocks=16_384)
    with ExitStack() as stack:
        service, pool = (
            stack.enter_context(
                opened(
                    lab,
                    Arm(profile=profile, replicas=1, cache=cache, latency=NO_LATENCY, gateway="istio"),
                    name=name,
                )
            )
            for name, profile in ((SERVICE, "round-robin"), (POOL, "random"))
        )
        arms: dict[str, tuple[Deployment, str | None]] = {
            DIRECT: (service, service.replicas[0].url), SERVICE: (service, None), POOL: (pool, None),
        }  # fmt: skip
        for load in loads:
            asked = prompt_set([load.tokens] * 4, seed=load.tokens, prefix=f"istio-t{load.tokens}-")
            prompts = {one.label: one for one in asked}
            fill_caches(arms, prompts)
            for concurrency in load.streams:
                rounds(lab, arms, load, concurrency, prompts)
    lab.note(WAYS, list(arms))
    lab.note(LOADS, [Asked(load.tokens, list(load.streams), load.rounds) for load in loads])


@behaviour(
    "llmd.performance.istio-ways-answer", level=MUST, spec=PAPER,
    red_when="a path loses requests, or a response bypasses the endpoint picker that is measured",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_every_way_through_istio_answers(ways_through_istio: RoutingRecording, measure: Measure) -> None:
    """Every request on every path is answered, and on the InferencePool path the endpoint picker was consulted."""
    for load in must_have(ways_through_istio.note(LOADS), "loads"):
        for concurrency in must_have(load.streams, "numbers of streams"):
            for arm in TITLES:
                for rows in rounds_of(ways_through_istio, arm, load.tokens, concurrency):
                    assert not routing.failure_findings(rows)
                    if arm == POOL:
                        assert not routing.asked_findings(rows)
    _show(ways_through_istio, measure)


@behaviour(
    "llmd.performance.figure-5-istio", level=INFO, spec=PAPER,
    red_when="behind Istio the endpoint picker adds more TTFT than the paper's maximum of 11 ms",
    mutant="istio-picker-slow",
)  # fmt: skip
def test_the_papers_overhead_is_not_exceeded_behind_istio(
    ways_through_istio: RoutingRecording, measure: Measure
) -> None:
    """The median TTFT of an HTTPRoute to an InferencePool is at most 11 ms above that of one to a Service."""
    found = _added(ways_through_istio)
    measure.value(in_the_papers_band=paper_band_verdict(found).outcome)
    measure.threshold(FIGURE_5.most_ms)
    busy = {one.concurrency: busy_of(ways_through_istio, POOL, TOKENS, one.concurrency) for one in found}
    judged = worst_of([bound_verdict(one, FIGURE_5.most_ms / 1e3, busy[one.concurrency]) for one in found])
    measure.value(**{f"cpu_busy_at_{streams}": share for streams, share in busy.items()})
    for one in found:
        measure.value(**{f"added_ms_at_{one.concurrency}": one.added.value * 1e3})
        if not judged.certain:
            require_valid(control_of(ways_through_istio, TOKENS, one.concurrency), FIGURE_5.most_ms)
    settle(judged, ways_through_istio)


@behaviour(
    "llmd.performance.figure-5-istio-growth", level=INFO, spec=PAPER,
    red_when="behind Istio the TTFT that the endpoint picker adds does not grow with the number of streams",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_overhead_behind_istio_grows_with_streams(ways_through_istio: RoutingRecording, measure: Measure) -> None:
    """Behind Istio too, the TTFT that the endpoint picker adds grows with the number of concurrent streams."""
    found = _added(ways_through_istio)
    measure.value(least_ms=found[0].added.value * 1e3, most_ms=found[-1].added.value * 1e3)
    settle(growth_verdict(found), ways_through_istio)


def _added(recording: RoutingRecording) -> list[Overhead]:
    return [added(recording, POOL, SERVICE, TOKENS, streams) for streams in concurrencies(recording, TOKENS)]


def _told(found: Overhead) -> str:
    told = f"{found.added.value * 1e3:+.1f} [{found.added.low * 1e3:.1f}, {found.added.high * 1e3:.1f}]"
    return told.replace(" ", "\u00a0")


def _show(recording: RoutingRecording, measure: Measure) -> None:
    """A table beside Figure 5's: direct, Service, InferencePool."""
    rows: list[list[object]] = []
    for tokens, streams in ((load.tokens, load.streams) for load in recording.note(LOADS)):
        for concurrency in streams:
            asked = added(recording, POOL, SERVICE, tokens, concurrency)
            through = added(recording, SERVICE, DIRECT, tokens, concurrency)
            own = control_of(recording, tokens, concurrency).error_p50
            rows.append([
                tokens, concurrency, round(through.base * 1e3, 2), round(asked.base * 1e3, 2),
                round(asked.arm * 1e3, 2), _told(through), _told(asked), round(own, 2),
            ])  # fmt: skip
    measure.exhibit(
        "figure-5-istio-table",
        title="The same through Istio: median TTFT by way, and what the ways add, ms",
        kind="table",
        columns=["tokens", "streams", "direct", "Service", "InferencePool", "Istio adds", "picker adds", "error"],
        rows=rows,
        notes=[
            "Direct: the model server. Service, InferencePool: backend of the HTTPRoute; the pool's picker is random.",
            "Each way through Istio has a gateway of its own.",
            "Paper, Figure 5, with Istio as the gateway: +3 to +11 ms, growing with streams (mean TTFT, one replica).",
            "Istio's main branch of 2026-08-27 with istio.io/api 1.31.1, no release; Envoy is upstream's own build.",
            "Error: the load generator's own, median, measured in the same run.",
        ],
        section=SECTION,
    )  # fmt: skip
