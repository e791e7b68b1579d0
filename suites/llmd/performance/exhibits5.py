"""Figure 5 from a recording: its rounds, what ways add to each other, and what the report shows."""

from __future__ import annotations

from statistics import median
from typing import Any

from gpuassay import Inconclusive, Measure
from gpuassay.load.gate import Control
from gpuassay.stats.evidence import Evidence, differences
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.judge.performance import Overhead, overhead
from gpuassay.systems.llmd.judge.share import Share, share
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.performance.load5 import (
    CONTROL,
    DIRECT,
    GATEWAY,
    LOADS,
    LONG,
    PICKERS,
    TITLES,
    WAYS,
    scrape_label,
    wave,
)

SECTION = "Figure 5: what gateway and endpoint picker cost"


def rounds_of(recording: RoutingRecording, arm: str, tokens: int, concurrency: int) -> list[list[Any]]:
    """The measured rows of every round of an arm."""
    numbers = range(1, rounds_at(recording, tokens) + 1)
    found = [recording.asks(wave(arm, tokens, concurrency, number)) for number in numbers]
    return [[row for row in rows if not row.warm_up] for rows in found]


def concurrencies(recording: RoutingRecording, tokens: int) -> list[int]:
    """The concurrencies at which prompts of so many tokens were asked."""
    return next(load.streams for load in recording.note(LOADS) if load.tokens == tokens)


def rounds_at(recording: RoutingRecording, tokens: int) -> int:
    """How many rounds prompts of so many tokens were asked in."""
    load = next(load for load in recording.note(LOADS) if load.tokens == tokens)
    return recording.note(notes.ROUNDS) if load.rounds is None else load.rounds


def arms_of(recording: RoutingRecording) -> list[str]:
    """The ways that were measured."""
    return recording.note(WAYS)


def added(recording: RoutingRecording, arm: str, base: str, tokens: int, concurrency: int) -> Overhead:
    """What `arm` adds to the TTFT of `base`."""
    return overhead(concurrency, *(rounds_of(recording, name, tokens, concurrency) for name in (arm, base)))


def in_ms(found: Overhead, than: Overhead | None = None) -> Evidence:
    """What is added in ms, round by round; or by how much more than another overhead of the same rounds."""
    base = [0.0] * len(found.rounds) if than is None else [1e3 * one for one in than.rounds]
    return differences([1e3 * one for one in found.rounds], base)


def control_of(recording: RoutingRecording, tokens: int, concurrency: int) -> Control:
    """The generator's own error at that load."""
    return recording.note(CONTROL)[f"{tokens}/{concurrency}"]


def busy_of(recording: RoutingRecording, arm: str, tokens: int, concurrency: int) -> float | None:
    """Share of all CPUs' time that was used while an arm was asked, median of its rounds; None if it was not noted."""
    noted = recording.note(notes.CPU_BUSY)
    numbers = range(1, rounds_at(recording, tokens) + 1)
    found = [noted.get(wave(arm, tokens, concurrency, number)) for number in numbers]
    known = [one for one in found if one is not None]
    return median(known) if known else None


def share_of(recording: RoutingRecording, arm: str, tokens: int, concurrency: int) -> Share:
    """What an arm's picker says of itself. Raises Inconclusive for a recording without its histograms."""
    try:
        before, after = (
            recording.metrics(scrape_label(arm, tokens, concurrency, moment)) for moment in ("before", "after")
        )
    except LookupError:
        raise Inconclusive(f"{recording.name} holds no histograms of the picker: record it anew") from None
    return share(before, after)


def _told(found: Overhead) -> str:
    told = f"{found.added.value * 1e3:+.1f} [{found.added.low * 1e3:.1f}, {found.added.high * 1e3:.1f}]"
    return told.replace(" ", "\u00a0")  # a cell is not to be broken in two


def show(recording: RoutingRecording, measure: Measure) -> None:
    """A table of what every picker adds, by its clients and by itself, and TTFT over the number of streams."""
    rows = [
        _row(recording, arm, load.tokens, concurrency)
        for load in recording.note(LOADS)
        for concurrency in load.streams
        for arm in arms_of(recording)
        if arm in PICKERS
    ]
    least = recording.note(LOADS)[0]
    measure.exhibit(
        "figure-5-table",
        title="What a picker adds to the median TTFT of Envoy alone, and what it says of itself, ms",
        kind="table",
        columns=[
            "tokens", "streams", "picker", "direct", "Envoy", "with picker", "adds", "its decision", "in its sight",
            "error",
        ],
        rows=rows,
        notes=[
            "The model server takes no time: what is measured is the way. Medians over rounds; intervals of 95 %.",
            "Paper, Figure 5: a gateway with a picker adds 3 to 11 ms, growing with streams (mean TTFT, one replica).",
            "Direct: the model server. Envoy: through it, nobody asked. With picker: Envoy, and that picker asked.",
            "Its decision: mean of the picker's own histogram of scheduling, without body and tokenization.",
            "In its sight: mean of its own histogram of requests, from their arrival to the end of the answer.",
            f"Prompts of {LONG} tokens have bodies of about 220 kB.",
            "Error: the load generator's own, median, measured in the same run.",
        ],
        section=SECTION,
    )  # fmt: skip
    measure.exhibit(
        "figure-5-curve",
        title=f"Figure 5: median TTFT over concurrent streams, prompts of {least.tokens} tokens",
        kind="curve",
        series=[_series(recording, arm, least.tokens, least.streams) for arm in arms_of(recording)],
        x="streams",
        y="ms",
        log="xy",
        notes=[
            "Points: median of rounds; bars: least and greatest round.",
            *(
                f"{streams} stream{'s' * (streams != 1)}: {control_of(recording, least.tokens, streams).sentence()}"
                for streams in least.streams
            ),
        ],
        section=SECTION,
    )


def _row(recording: RoutingRecording, arm: str, tokens: int, concurrency: int) -> list[object]:
    asked = added(recording, arm, GATEWAY, tokens, concurrency)
    direct = added(recording, GATEWAY, DIRECT, tokens, concurrency).base
    try:
        found = share_of(recording, arm, tokens, concurrency)
        own = [round(found.scheduling * 1e3, 3), round(found.in_sight * 1e3, 2)]
    except (Inconclusive, ValueError):
        own = [None, None]
    return [
        tokens, concurrency, arm.removeprefix("picker-"), round(direct * 1e3, 2), round(asked.base * 1e3, 2),
        round(asked.arm * 1e3, 2), _told(asked), *own,
        round(control_of(recording, tokens, concurrency).error_p50, 2),
    ]  # fmt: skip


def _series(recording: RoutingRecording, arm: str, tokens: int, streams: list[int]) -> dict[str, object]:
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
