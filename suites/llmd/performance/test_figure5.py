"""Figure 5: what gateway and endpoint picker add to TTFT."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpuassay.behaviour import behaviour
from gpuassay.judge import routing
from gpuassay.judge.performance.routing import (
    Judged,
    Overhead,
    bound_verdict,
    growth_verdict,
    overhead,
    paper_band_verdict,
)
from gpuassay.judge.performance.routing_intervals import worst
from gpuassay.load.gate import Control, require_valid
from gpuassay.model.paper_routing import FIGURE_5
from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import scenario
from gpuassay.scenario.lab import Lab
from gpuassay.session.measure import Measure
from gpuassay.verdict import INFO, MUST, SHOULD
from suites.llmd.performance import load5
from suites.llmd.performance.limits import LIMITS, settle
from suites.llmd.performance.load5 import ARMS, DIRECT, GATEWAY, PRECISE, RANDOM, TITLES, wave

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

PAPER = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Figure 5"
SECTION = "Figure 5: what gateway and endpoint picker cost"
TOKENS = 100
"""Prompt length at which claims are judged."""
BOUNDS_S = {RANDOM: LIMITS.limit("picker_random_s"), PRECISE: LIMITS.limit("picker_precise_s")}


@scenario(system="routing", alone="machine", timeout=7200)
def ways(lab: Lab) -> None:
    """One model server that takes no time: asked directly, through Envoy, and through Envoy and a picker."""
    load5.act(lab)


def rounds_of(recording: Recording, arm: str, tokens: int, concurrency: int) -> list[list[Any]]:
    """The measured rows of every round of an arm."""
    numbers = range(1, int(recording.notes["rounds"]) + 1)
    found = [recording.asks(wave(arm, tokens, concurrency, number)) for number in numbers]
    return [[row for row in rows if not row["warm_up"]] for rows in found]


def concurrencies(recording: Recording, tokens: int) -> list[int]:
    """The concurrencies at which prompts of so many tokens were asked."""
    return next(streams for length, streams in recording.notes["loads"] if length == tokens)


def added(recording: Recording, arm: str, base: str, tokens: int, concurrency: int) -> Overhead:
    """What `arm` adds to the TTFT of `base`."""
    return overhead(concurrency, *(rounds_of(recording, name, tokens, concurrency) for name in (arm, base)))


def control_of(recording: Recording, tokens: int, concurrency: int) -> Control:
    """The generator's own error at that load."""
    return msgspec.convert(recording.notes["control"][f"{tokens}/{concurrency}"], Control)


@behaviour(
    "llmd.performance.ways-answer", level=MUST, spec=PAPER,
    red_when="a way loses requests, or an answer came without the picker that is measured", mutant="picker-not-asked",
)  # fmt: skip
def test_every_way_answers_every_request(ways: Recording, measure: Measure) -> None:
    """Every request is answered on every way, and on the ways with a picker it was asked."""
    for tokens, streams in ways.notes["loads"]:
        for concurrency in streams:
            for arm in ARMS:
                for rows in rounds_of(ways, arm, tokens, concurrency):
                    assert not routing.failure_findings(rows)
                    if arm in (RANDOM, PRECISE):
                        assert not routing.asked_findings(rows)
    _show(ways, measure)


@pytest.mark.parametrize("arm", [RANDOM, PRECISE])
@behaviour(
    "llmd.performance.picker-overhead", level=SHOULD, spec=PAPER,
    red_when="asking the picker takes longer than a small machine needs for it", mutant="picker-slow",
)  # fmt: skip
def test_asking_a_picker_costs_little(ways: Recording, measure: Measure, arm: str) -> None:
    """One stream: a picker adds at most 15 ms (random) or 30 ms (precise, tokenizer in Python) to the median TTFT."""
    found = added(ways, arm, GATEWAY, TOKENS, 1)
    limit = BOUNDS_S[arm]
    measure.value(added_ms=found.added.value * 1e3, base_ms=found.base * 1e3, rounds=len(found.rounds))
    measure.interval(found.added.low * 1e3, found.added.high * 1e3)
    measure.threshold(limit * 1e3)
    require_valid(control_of(ways, TOKENS, 1), limit * 1e3)
    judged = bound_verdict(found, limit)
    settle(judged, ways)


@behaviour(
    "llmd.performance.figure-5", level=INFO, spec=PAPER,
    red_when="a picker adds more than the 11 ms that the paper saw at most", mutant="picker-slow",
)  # fmt: skip
def test_the_papers_overhead_is_not_exceeded(ways: Recording, measure: Measure) -> None:
    """A gateway with a picker adds at most the paper's 11 ms over one without; whether also its 3 ms, is told."""
    found = [added(ways, RANDOM, GATEWAY, TOKENS, streams) for streams in concurrencies(ways, TOKENS) if streams <= 32]
    measure.value(in_the_papers_band=paper_band_verdict(found).outcome)
    measure.threshold(FIGURE_5.most_ms)
    each = [bound_verdict(one, FIGURE_5.most_ms / 1e3) for one in found]
    judged = Judged(worst([one.outcome for one in each]), "; ".join(one.reason for one in each))
    for one in found:
        measure.value(**{f"added_ms_at_{one.concurrency}": one.added.value * 1e3})
        require_valid(control_of(ways, TOKENS, one.concurrency), FIGURE_5.most_ms)
    settle(judged, ways)


@behaviour(
    "llmd.performance.figure-5-growth", level=INFO, spec=PAPER,
    red_when="the overhead does not grow with the number of streams", mutant="picker-not-asked",
)  # fmt: skip
def test_overhead_grows_with_streams(ways: Recording, measure: Measure) -> None:
    """As in the paper, the overhead of the picker grows with the number of concurrent streams."""
    found = [added(ways, RANDOM, GATEWAY, TOKENS, streams) for streams in concurrencies(ways, TOKENS)]
    judged = growth_verdict(found)
    measure.value(least_ms=found[0].added.value * 1e3, most_ms=found[-1].added.value * 1e3)
    settle(judged, ways)


def _told(found: Overhead) -> str:
    told = f"{found.added.value * 1e3:+.1f} [{found.added.low * 1e3:.1f}, {found.added.high * 1e3:.1f}]"
    return told.replace(" ", "\u00a0")  # a cell is not to be broken in two


def _show(recording: Recording, measure: Measure) -> None:
    rows: list[list[object]] = []
    for tokens, streams in recording.notes["loads"]:
        for concurrency in streams:
            found = {arm: added(recording, arm, DIRECT, tokens, concurrency) for arm in ARMS[1:]}
            asked = {arm: added(recording, arm, GATEWAY, tokens, concurrency) for arm in (RANDOM, PRECISE)}
            rows.append(
                [
                    tokens, concurrency, round(found[GATEWAY].base * 1e3, 2),
                    *(round(found[arm].arm * 1e3, 2) for arm in ARMS[1:]),
                    *(_told(asked[arm]) for arm in (RANDOM, PRECISE)),
                    round(control_of(recording, tokens, concurrency).error_p50, 2),
                ]
            )  # fmt: skip
    least = recording.notes["loads"][0]
    measure.exhibit(
        "figure-5-table",
        title="Median TTFT of every way, ms, and what a picker adds to Envoy alone",
        kind="table",
        columns=["tokens", "streams", "direct", "Envoy", "random", "precise", "random adds", "precise adds", "error"],
        rows=rows,
        notes=[
            "The model server takes no time: what is measured is the way. Medians over rounds; intervals of 95 %.",
            "Paper, Figure 5: a gateway with a picker adds 3 to 11 ms, growing with streams (mean TTFT, one replica).",
            "Direct: the model server. Envoy: through it, nobody asked. Random and precise: Envoy and that picker.",
            "Error: the load generator's own, median, measured in the same run.",
        ],
        section=SECTION,
    )
    measure.exhibit(
        "figure-5-curve",
        title=f"Figure 5: median TTFT over concurrent streams, prompts of {least[0]} tokens",
        kind="curve",
        series=[_series(recording, arm, least[0], least[1]) for arm in ARMS],
        x="streams",
        y="ms",
        log="xy",
        notes=[
            "Points: median of rounds; bars: least and greatest round.",
            *(f"{streams} streams: {control_of(recording, least[0], streams).sentence()}" for streams in least[1]),
        ],
        section=SECTION,
    )


def _series(recording: Recording, arm: str, tokens: int, streams: list[int]) -> dict[str, object]:
    base = DIRECT if arm != DIRECT else GATEWAY
    points: list[list[float]] = []
    bars: list[list[float]] = []
    for concurrency in streams:
        rounds = rounds_of(recording, arm, tokens, concurrency)
        medians = sorted(overhead(concurrency, [rows, rows], [rows, rows]).arm * 1e3 for rows in rounds)
        found = added(recording, arm, base, tokens, concurrency)
        points.append([concurrency, round(found.arm * 1e3, 3)])
        bars.append([round(medians[0], 3), round(medians[-1], 3)])
    return {"label": TITLES[arm], "points": points, "intervals": bars}
