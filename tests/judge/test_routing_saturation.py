"""Staircases, doctored: what is carried, what the generator did, and what a picker says of itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.intervals import Effect
from gpuassay.systems.llmd.judge.saturation import (
    Step,
    Times,
    answered_findings,
    carried_by,
    not_the_machine,
    prediction_findings,
    require_sent,
    steps,
    times,
    times_verdict,
)
from gpuassay.systems.llmd.judge.share import Share, share, share_findings
from gpuassay.systems.llmd.model.montecarlo import Spread
from gpuassay.systems.llmd.model.saturation import Carried, Prediction, Staircase
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive
from tests.judge.routes import row

STAIRS = Staircase(((10, 20), (20, 20)), seed=1)


def climb(ttft: tuple[float, float] = (0.1, 0.1), late: float = 1.0) -> list[RequestRow]:
    """Rows of a climb with one TTFT a step, s; `late`: how many times longer sending the second step took."""
    found: list[RequestRow] = []
    for index, due in enumerate(STAIRS.due):
        start = due if index < 20 else STAIRS.due[20] + (due - STAIRS.due[20]) * late
        first = start + ttft[index >= 20]
        times_s = {"due_ns": due, "start_ns": start, "first_ns": first, "end_ns": first + 0.01}
        times_ns: dict[str, Any] = {name: 1 + round(value * 1e9) for name, value in times_s.items()}
        found.append(row(index, **times_ns))
    return found


def test_steps_are_told_apart_by_the_order_of_asking() -> None:
    """Red when requests are sorted into steps by when they were answered."""
    found = steps(climb((0.5, 0.1))[::-1], STAIRS)
    assert [round(one.p95, 3) for one in found] == [0.5, 0.1]
    assert [(one.asked, one.answered) for one in found] == [(20, 20)] * 2
    assert carried_by(found, 0.2) == Carried(0.0, 10)
    assert carried_by(steps(climb((0.1, 0.5)), STAIRS), 0.2) == Carried(10, 20)
    with pytest.raises(ValueError, match="40 requests has not 39"):
        steps(climb()[1:], STAIRS)


def test_requests_that_were_lost_are_late_for_ever() -> None:
    """Red when dropping requests is a way to carry a rate."""
    rows = climb()
    for index in (25, 27):
        rows[index].status, rows[index].error = 503, "http-503"
    assert carried_by(steps(rows, STAIRS), 0.2).within == 10
    assert "2 have none" in answered_findings(rows)[0]
    assert not answered_findings(climb())


def test_a_generator_that_lags_is_not_the_system() -> None:
    """Red when requests that were not sent in time are judged."""
    require_sent(steps(climb(), STAIRS), 0.95)
    with pytest.raises(Inconclusive, match="load generator is at its limit"):
        require_sent(steps(climb(late=1.2), STAIRS), 0.95)


@pytest.mark.parametrize(
    ("arm", "base", "low", "high", "outcome"),
    [
        (Carried(48, None), Carried(8, 12), 4, math.inf, "pass"),
        (Carried(48, None), Carried(18, None), 0, math.inf, "inconclusive"),
        (Carried(12, 24), Carried(8, 12), 1, 3, "inconclusive"),
        (Carried(8, 12), Carried(8, 12), 8 / 12, 1.5, "fail"),
        (Carried(0, 12), Carried(8, 12), 0, 1.5, "fail"),
        (Carried(0, 12), Carried(18, None), 0, 12 / 18, "fail"),
        (Carried(48, None), Carried(0, 8), 6, math.inf, "pass"),
    ],
)
def test_how_many_times_the_rate(arm: Carried, base: Carried, low: float, high: float, outcome: str) -> None:
    """Red when a ladder that ended too early proves anything, or a policy that carries no more passes."""
    found = times(arm, base)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert times_verdict(found, 2.5).outcome == outcome
    assert times_verdict(found, 2.5).certain == (high < 1)
    assert Times(2, 3).told() == "2 to 3 times"


def test_a_policy_that_saturates_elsewhere_than_the_model() -> None:
    """Red when a carried rate above the model's, or more than a step below, passes."""
    at = Spread(1, 1, 1)
    model = Prediction((4, 8, 16, 32), (at,) * 4, (Carried(16, 32),))

    def seen(within: float) -> list[Step]:
        return [Step(rate, rate, 1, 1, 0.1, 0.1 if rate <= within else 9.0) for rate in model.rates]

    assert not prediction_findings(seen(16), 2, model)
    assert not prediction_findings(seen(8), 2, model)
    assert "carried 4 requests/s" in prediction_findings(seen(4), 2, model)[0]
    assert "carried 32 requests/s" in prediction_findings(seen(32), 2, model)[0]
    assert [not_the_machine(seen(rate), 2, model) for rate in (4, 16, 32)] == [False, False, True]
    assert [not_the_machine(seen(4), 2, model, [seen(rate)]) for rate in (4, 8)] == [False, True]


# --- the picker's own histograms --------------------------------------------------------------------------------------


def scrape(count: int, decisions: float, requests: float) -> Samples:
    """A picker that decided `count` requests in so many seconds altogether."""
    names = {
        "inference_extension_scheduler_e2e_duration_seconds": decisions,
        "inference_objective_request_duration_seconds": requests,
    }
    rows: list[dict[str, Any]] = []
    for name, total in names.items():
        for suffix, value, labels in (("_sum", total, {}), ("_count", count, {}), ("_bucket", count, {"le": "+Inf"})):
            rows.append({"source": "picker", "name": name + suffix, "labels": labels, "value": value})
    return Samples(rows)


def test_a_pickers_own_share() -> None:
    """Red when what came before the first scrape counts, or a mean is not that of the requests in between."""
    found = share(scrape(10, 1.0, 5.0), scrape(30, 1.02, 5.2))
    assert (found.requests, found.scheduling, found.in_sight) == (20, pytest.approx(0.001), pytest.approx(0.01))
    for unasked in (scrape(10, 1, 5), Samples([])):
        assert share(unasked, unasked).requests == 0


def test_a_share_that_does_not_fit() -> None:
    """Red when requests that the histogram misses, or decisions longer than the way, pass."""
    added = Effect(0.003, 0.002, 0.004, 5, "rounds")
    assert not share_findings(Share(20, 0.001, 0.01), 20, added)
    assert "tells of 0" in share_findings(Share(0, 0.0, 0.0), 20, added)[0]
    assert "tells of 19" in share_findings(Share(19, 0.001, 0.01), 20, added)[0]
    assert "decision takes 5.00 ms" in share_findings(Share(20, 0.005, 0.01), 20, added)[0]
