"""What the report shows of traffic shapes and of the staircase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from gpuassay import Measure
from gpuassay.load.gate import Control
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.performance import timed, ttft
from gpuassay.systems.llmd.judge.saturation import Step, carried_by
from gpuassay.systems.llmd.model.saturation import Carried, Prediction
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.performance import traffic
from suites.llmd.performance.traffic import SHAPES, wave

SECTION = "Other traffic: shared prefixes, conversations, rising rates"

SIMULATED = (
    "Placement, prefix caches, KV-cache events, endpoint pickers and Envoy are real; the time a model server takes is"
    " simulated: 60 ms and 0.92 ms for every prompt token that is not cached, 10 ms for every further token."
)


def show(
    recording: RoutingRecording,
    measure: Measure,
    climbs: Mapping[str, Sequence[Step]],
    bound: float,
    controls: Mapping[str, Control],
) -> None:
    """A table of the shapes, and of the staircase a table and p95 of TTFT over the rate beside the model's."""
    arms = recording.note(notes.WAYS)
    errors = {name: f"Measured in the same run: {one.sentence()}." for name, one in controls.items()}
    aside = side_by_side_note(recording.note(traffic.TOGETHER))
    measure.exhibit(
        "traffic-shapes",
        title=f"Shared prefixes and conversations: no prompt is asked twice, {traffic.STREAMS} streams",
        kind="table",
        columns=["traffic", "routing", "hit rate", "model", "TTFT mean ms", "model ", "p50", "p95", "busiest replica"],
        rows=[_shape(recording, arm, shape) for shape in SHAPES for arm in arms],
        notes=[
            "Shared prefix: 8 tenants, each with a system prompt of 512 tokens and 6 requests with 64 of their own.",
            "Conversations: 8, of 6 turns that grow from 84 to 734 tokens; every turn asks for all of it.",
            "Model: mean and the interval from the 1st to the 99th percentile of simulations of the same requests.",
            "Busiest replica: its share of the requests; even is 0.125; following prefixes alone can be uneven.",
            aside,
            SIMULATED,
            errors["shapes"],
        ],
        section=SECTION,
    )
    models = {arm: traffic.predicted(arm, recording.note(traffic.STAIRS)[arm], bound) for arm in arms}
    measure.exhibit(
        "saturation-table",
        title=f"Rate carried with p95 of TTFT within {bound:g} s, requests/s on 8 replicas",
        kind="table",
        columns=["routing", "carries", "model", "rates asked"],
        rows=[
            [arm, _rates(carried_by(steps, bound)), _modelled(models[arm]), ", ".join(f"{one.rate:g}" for one in steps)]
            for arm, steps in climbs.items()
        ],
        notes=[
            "Carries: between the last rate within the bound and the first beyond it. Model: the same in simulations.",
            "An open loop: arrivals of a Poisson process, the same for the model; steps follow each other at once.",
            aside,
            "Of n running requests on a replica each takes n times as long, as if prefill were done in turn.",
            SIMULATED,
            errors["staircase"],
        ],
        section=SECTION,
    )  # fmt: skip
    measured = [
        {
            "label": f"{arm}, measured",
            "points": [[step.rate, round(step.p95, 4)] for step in climbs[arm] if step.p95 < 1e6],
        }
        for arm in arms
    ]
    modelled = [
        {
            "label": f"{arm}, model",
            "points": [[rate, round(p95.mean, 4)] for rate, p95 in zip(model.rates, model.p95, strict=True)],
            "intervals": [[round(p95.low, 4), round(p95.high, 4)] for p95 in model.p95],
        }
        for arm, model in models.items()
    ]
    rates = sorted({step.rate for each in climbs.values() for step in each})
    limit = {"label": f"bound: {bound:g} s", "points": [[rates[0], bound], [rates[-1], bound]]}
    measure.exhibit(
        "saturation-curve",
        title="95th percentile of TTFT over the rate of requests",
        kind="curve",
        series=[*measured, *modelled, limit],
        x="requests/s",
        y="s",
        log="xy",
        notes=["Bars: the 1st to the 99th percentile of simulations.", SIMULATED, errors["staircase"]],
        section=SECTION,
    )


def side_by_side_note(together: int) -> str:
    """How many arms of a measurement were run at a time, in words."""
    if together == 1:
        return "The arms took turns: each had the machine to itself."
    return f"{together} arms ran side by side, and the control with as many streams and generators as all of them."


def _rates(found: Carried) -> str:
    if found.beyond is None:
        return f"{found.within:g} or more"
    return f"{found.within:g} to {found.beyond:g}" if found.within else f"less than {found.beyond:g}"


def _modelled(model: Prediction) -> str:
    ordered = sorted(model.each, key=lambda one: one.within)
    tail = round(0.01 * len(ordered))
    least, greatest = _rates(ordered[tail]), _rates(ordered[-1 - tail])
    return least if least == greatest else f"from {least} up to {greatest}"


def _shape(recording: RoutingRecording, arm: str, shape: str) -> list[object]:
    rows = timed(recording.asks(wave(arm, shape)))
    model, times = traffic.modelled(arm)[shape], [ttft(row) * 1e3 for row in rows]
    busiest = Counter(str(row.served_by) for row in rows).most_common(1)[0][1] / len(rows)
    ms = model.mean_ttft
    return [
        shape, arm, round(routing.cached_hit_rate(rows), 3), str(model.hit_rate).replace(" ", "\u00a0"),
        round(fmean(times), 1), f"{ms.mean * 1e3:.0f}\u00a0[{ms.low * 1e3:.0f},\u00a0{ms.high * 1e3:.0f}]",
        round(median(times), 1), round(quantile(times, 0.95), 1), round(busiest, 3),
    ]  # fmt: skip
