"""What the report shows of Figures 6 and 7, beside the paper's values."""

from __future__ import annotations

from statistics import fmean, median

from gpuassay import Measure
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.performance import e2e, gain, timed, ttft
from gpuassay.systems.llmd.model.paper import FIGURE_6
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from suites.llmd.performance import load67
from suites.llmd.performance.load67 import wave
from suites.llmd.performance.traffic_exhibits import SIMULATED, side_by_side_note

SECTION = "Figures 6 and 7: routing where the prefix is cached"


def _error(recording: RoutingRecording, concurrency: int) -> str:
    control = recording.note(load67.CONTROL)[concurrency]
    return f"Measured in the same run: {control.sentence()}."


def _rows(recording: RoutingRecording, arm: str, concurrency: int, phase: str) -> list[RequestRow]:
    rounds = range(1, recording.note(notes.ROUNDS) + 1)
    return [row for number in rounds for row in recording.asks(wave(arm, concurrency, number, phase))]


def show(recording: RoutingRecording, measure: Measure) -> None:
    """Table, distributions, heat-maps and decisions at the highest concurrency; a curve where there are several."""
    arms = recording.note(notes.WAYS)
    concurrencies = recording.note(load67.CONCURRENCIES)
    concurrency = max(concurrencies)
    error = _error(recording, concurrency)
    requests = load67.load_of(recording).requests
    measure.exhibit(
        "figure-6-table",
        title=f"TTFT and time to the last token, {concurrency} streams, {requests} requests a pass",
        kind="table",
        columns=["routing", "pass", "hit rate", "model", "TTFT mean ms", "p50", "p99", "E2E mean ms", "p99 "],
        rows=[_row(recording, arm, concurrency, phase) for arm in arms for phase in ("cold", "warm")],
        notes=[
            SIMULATED,
            f"Paper, Figure 6: {FIGURE_6.random_ms:g} ms under random, {FIGURE_6.precise_ms:g} ms under precise routing"
            f" ({FIGURE_6.mean_ratio:g} times), p99 up to {FIGURE_6.p99_ratio_up_to:g} times: numbers of warm caches.",
            "A cold pass cannot improve p99: one request in eight is the first of its prompt.",
            side_by_side_note(recording.note(load67.TOGETHER).get(concurrency, 1)),
            error,
        ],
        section=SECTION,
    )
    for phase in ("warm", "cold"):
        measure.exhibit(
            f"figure-6-cdf-{phase}",
            title=f"Figure 6: TTFT, {phase} pass, {concurrency} streams",
            kind="cdf",
            series=[
                {
                    "label": arm,
                    "values": [round(ttft(row) * 1e3, 2) for row in timed(_rows(recording, arm, concurrency, phase))],
                }
                for arm in arms
            ],
            x="TTFT in ms",
            log="x",
            notes=[error],
            section=SECTION,
        )
    measure.exhibit(
        "figure-7-cdf",
        title=f"Figure 7: time to the last token, warm pass, {concurrency} streams",
        kind="cdf",
        series=[
            {
                "label": arm,
                "values": [round(e2e(row) * 1e3, 2) for row in timed(_rows(recording, arm, concurrency, "warm"))],
            }
            for arm in arms
        ],
        x="ms",
        log="x",
        notes=["The simulator's replicas never stall decoding for another request's prefill, as real ones do.", error],
        section=SECTION,
    )
    for arm in (one for one in ("random", "precise") if one in arms):
        _placement(recording, measure, arm, concurrency)
    if len(concurrencies) > 1:
        _growth(recording, measure, concurrencies)


def _row(recording: RoutingRecording, arm: str, concurrency: int, phase: str) -> list[object]:
    rows = timed(_rows(recording, arm, concurrency, phase))
    first, last = [ttft(row) * 1e3 for row in rows], [e2e(row) * 1e3 for row in rows]
    cold, warm = load67.modelled(arm, concurrency, 1, load67.load_of(recording))
    expected = str((cold if phase == "cold" else warm).hit_rate).replace(" ", "\u00a0")
    return [
        arm, phase, round(routing.cached_hit_rate(rows), 3), expected, round(fmean(first), 1), round(median(first), 1),
        round(quantile(first, 0.99), 1), round(fmean(last), 1), round(quantile(last, 0.99), 1),
    ]  # fmt: skip


def _placement(recording: RoutingRecording, measure: Measure, arm: str, concurrency: int) -> None:
    rows = recording.asks(wave(arm, concurrency, 1, "warm"))
    placed = routing.replicas_by_prompt(rows)
    replicas = sorted({name for counts in placed.values() for name in counts})
    measure.exhibit(
        f"figure-6-placement-{arm}",
        title=f"Which replica served which prompt: {arm} routing, warm pass",
        kind="heatmap",
        rows=sorted(placed),
        columns=replicas,
        values=[[placed[label][name] for name in replicas] for label in sorted(placed)],
        x="replica",
        y="prompt",
        notes=["Requests of 8. One box a row is perfect stickiness."],
        section=SECTION,
    )
    begin = min(row.start_ns for row in rows)
    answered = routing.answered(rows)
    lanes = [
        {
            "label": name,
            "bars": [
                {
                    "start": round((row.start_ns - begin) / 1e9, 4),
                    "end": round((row.end_ns - begin) / 1e9, 4),
                    "label": row.label,
                    "class": "hit" if row.cached_tokens else "miss",
                }
                for row in answered
                if row.served_by == name
            ],
        }
        for name in replicas
    ]
    measure.exhibit(
        f"figure-6-decisions-{arm}",
        title=f"Decisions over time: {arm} routing, warm pass",
        kind="gantt",
        lanes=lanes,
        unit="s",
        notes=[
            "One bar a request on the replica that was picked; a hit found its prefix cached.",
            _error(recording, concurrency),
        ],
        section=SECTION,
    )


def _growth(recording: RoutingRecording, measure: Measure, concurrencies: list[int]) -> None:
    rounds = recording.note(notes.ROUNDS)

    def of(arm: str, streams: int, phase: str) -> list[list[RequestRow]]:
        return [recording.asks(wave(arm, streams, number, phase)) for number in range(1, rounds + 1)]

    series: list[dict[str, object]] = []
    for phase in ("cold", "warm"):
        gains = [
            gain(phase, streams, of("precise", streams, phase), of("random", streams, phase))
            for streams in concurrencies
        ]
        for name in ("mean_ratio", "p99_ratio"):
            effects = [getattr(one, name) for one in gains]
            series.append(
                {
                    "label": f"{name.removesuffix('_ratio')}, {phase}",
                    "points": [
                        [one.concurrency, round(effect.value, 3)] for one, effect in zip(gains, effects, strict=True)
                    ],
                    "intervals": [[round(effect.low, 3), round(effect.high, 3)] for effect in effects],
                }
            )
    measure.exhibit(
        "figure-6-ratio",
        title="How many times smaller TTFT is under precise than under random routing",
        kind="curve",
        series=series,
        x="streams",
        y="ratio",
        log="xy",
        notes=["Intervals of 95 % over rounds.", *(_error(recording, streams) for streams in concurrencies)],
        section=SECTION,
    )
