"""The validity gate: may the figures of a load run be judged, given how wrong the generator was in the same run? Pure.

The generator's error on one request is the TTFT that it reports less the time that the echo server took between the
request's last byte and the first event: sending the request, waking up for the answer, and the loop in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from gpuassay.load.realtime import REALTIME
from gpuassay.load.rows import LoadResult, Row
from gpuassay.load.timing import MILLISECOND_NS, EchoTiming, Truth, lateness_ms
from gpuassay.stats.quantiles import quantile
from gpuassay.verdict import Inconclusive

MAX_ERROR_SHARE = 1 / 3
"""Largest generator error, as a share of the effect that is judged."""

MIN_RATE_SHARE = 0.95
"""Least achieved rate per requested rate."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """How wrong the generator was on a server of known timing. Times in ms.

    Attributes:
        asked, ok: measured requests, and those answered in full.
        concurrency: streams of a closed loop, None in an open one.
        body_bytes: size of a request's body.
        timing: what the server did.
        error_p50, error_p99: the generator's error on TTFT.
        lag_p50, lag_p99: how late its event loop ran what was due.
        server_p99: how late the server itself was; no part of the error.
        rate_share: achieved / requested rate: of a closed loop that asked again without delay, of an open loop's plan.
        cpu_share: CPU cores that the generator used.
        generator: what it was and how it was scheduled, as its result's head says.
    """

    asked: int
    ok: int
    concurrency: int | None
    body_bytes: int
    timing: EchoTiming
    error_p50: float
    error_p99: float
    lag_p50: float
    lag_p99: float
    server_p99: float
    rate_share: float
    cpu_share: float
    generator: str = ""

    def sentence(self) -> str:
        """What stands under a chart."""
        load = "open loop" if self.concurrency is None else f"{self.concurrency} stream{'s' * (self.concurrency != 1)}"
        return (
            f"generator error P50 {self.error_p50:.2f} ms, P99 {self.error_p99:.2f} ms; event-loop lag "
            f"P50 {self.lag_p50:.2f} ms, P99 {self.lag_p99:.2f} ms; rate {self.rate_share:.1%} of requested "
            f"({load}, {self.body_bytes} byte requests, {self.ok} of {self.asked} answered)"
            + (f", under {REALTIME}" if REALTIME in self.generator else "")
        )


class NoControl(ValueError):  # noqa: N818 - reads as what it is
    """The control run measured nothing."""


def generator_errors_ms(rows: Iterable[Row], truths: Iterable[Truth]) -> list[float]:
    """The generator's error on each request of which both sides know, ms; joined by request id."""
    known = {truth.request_id: truth for truth in truths if truth.first_ns}
    return [
        (row.first_ns - row.start_ns - (truth.first_ns - truth.parsed_ns)) / MILLISECOND_NS
        for row in rows
        if row.ok and row.first_ns is not None and (truth := known.get(row.request_id)) is not None
    ]


def rate_share(rows: Sequence[Row], truths: Iterable[Truth]) -> float | None:
    """Achieved / requested rate, None if it cannot be told.

    Open loop: the rate of sending per the rate of the due times. Closed loop: the time that the server needed for its
    answers per the time until the stream asked again; the rest is the generator's.
    """
    starts, due = [row.start_ns for row in rows], [row.due_ns for row in rows if row.due_ns is not None]
    if due:
        took = max(starts) - min(starts)
        return (max(due) - min(due)) / took if len(due) > 1 and took else None
    known = {truth.request_id: truth for truth in truths if truth.last_ns}
    streams: dict[int | None, list[Row]] = {}
    for row in rows:
        streams.setdefault(row.stream, []).append(row)
    needed = cycles = 0
    for asked in streams.values():
        for row, following in pairwise(sorted(asked, key=lambda row: row.start_ns)):
            truth = known.get(row.request_id)
            if row.ok and truth is not None:
                needed += truth.last_ns - truth.parsed_ns
                cycles += following.start_ns - row.start_ns
    return needed / cycles if cycles else None


def control_of(result: LoadResult, truths: Sequence[Truth], timing: EchoTiming) -> Control:
    """The figures of a control run.

    Raises:
        NoControl: no request can be compared, or the rate cannot be told.
    """
    rows = result.measured
    ids = {row.request_id for row in rows}
    mine = [truth for truth in truths if truth.request_id in ids]
    errors, share = generator_errors_ms(rows, mine), rate_share(rows, mine)
    if not errors or share is None or not result.tail.lag_ns:
        failed = next((f": {row.error}: {row.detail}" for row in rows if not row.ok), "")
        raise NoControl(f"the control run compared {len(errors)} of {len(rows)} requests, too few to tell{failed}")
    lags = [lag / MILLISECOND_NS for lag in result.tail.lag_ns]
    seconds = (result.tail.ended_ns - result.head.started_ns) / 1e9
    return Control(
        asked=len(rows),
        ok=sum(row.ok for row in rows),
        concurrency=result.head.concurrency,
        body_bytes=max(truth.body_bytes for truth in mine),
        timing=timing,
        error_p50=quantile(errors, 0.5),
        error_p99=quantile(errors, 0.99),
        lag_p50=quantile(lags, 0.5),
        lag_p99=quantile(lags, 0.99),
        server_p99=quantile(lateness_ms(mine, timing), 0.99),
        rate_share=share,
        cpu_share=result.tail.cpu_seconds / seconds,
        generator=result.head.generator,
    )


def doubts(control: Control, effect_ms: float, *, at: float = 0.5, sent_share: float | None = None) -> list[str]:
    """Why an effect of `effect_ms` on the quantile `at` of TTFT cannot be told with this generator; empty: it can.

    Args:
        control: of the same run, at the same concurrency and prompt size.
        effect_ms: the difference or bound that is judged, ms, > 0.
        at: 0.5 judges the effect against the generator's P50 error; any higher quantile against its P99 error.
        sent_share: achieved / requested rate of the judged run itself (`Figures.rate_share`), if it has one.

    Raises:
        ValueError: the effect is not positive.
    """
    if not effect_ms > 0:
        raise ValueError(f"an effect to be judged is a positive number of ms, not {effect_ms}")
    name, error = ("P50", control.error_p50) if at <= 0.5 else ("P99", control.error_p99)
    found: list[str] = []
    # the reported TTFT can err to either side; not (x <= y) also catches what is not a number
    if not abs(error) <= effect_ms * MAX_ERROR_SHARE:
        found.append(f"generator error {name} {error:.2f} ms is more than a third of the effect of {effect_ms:.2f} ms")
    for what, share in (("control", control.rate_share), ("judged", sent_share)):
        if share is not None and not share >= MIN_RATE_SHARE:
            found.append(f"the {what} run achieved {share:.1%} of the requested rate, less than {MIN_RATE_SHARE:.0%}")
    if control.ok < control.asked:
        found.append(f"{control.asked - control.ok} of {control.asked} control requests failed")
    return found


def require_valid(control: Control, effect_ms: float, *, at: float = 0.5, sent_share: float | None = None) -> None:
    """As `doubts`. Raises Inconclusive if there are any."""
    found = doubts(control, effect_ms, at=at, sent_share=sent_share)
    if found:
        raise Inconclusive("; ".join(found))
