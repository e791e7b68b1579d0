"""What one load generator showed on the echo server: its error, its rate, its price. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec

from gpuassay.load.gate import NoControl, generator_errors_ms
from gpuassay.load.rows import LoadResult
from gpuassay.load.timing import EchoTiming, Truth, lateness_ms
from gpuassay.stats.quantiles import quantile


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One generator, once, at one number of streams. Times in ms, without the warm-up wave.

    Attributes:
        tool: what was measured, with its version.
        round: of interleaved rounds, from 0.
        asked, ok: measured requests, and those answered in full.
        compared: requests of which both the generator and the server know.
        error_p50, error_p90, error_p99: TTFT as reported less the server's own time.
        rate_share: achieved / requested rate, as `busy_share`.
        cpu_us_per_token: CPU time of the generator's processes while it loaded, us; None if it was not sampled.
        server_p99: how late the server itself was; no part of the error.
        stall_share: share of the time in which some process of the machine waited for a CPU.
        wall_seconds: from the start of the program to its end.
    """

    tool: str
    streams: int
    round: int
    asked: int
    ok: int
    compared: int
    error_p50: float
    error_p90: float
    error_p99: float
    rate_share: float
    cpu_us_per_token: float | None
    server_p99: float
    stall_share: float | None
    wall_seconds: float


def busy_share(truths: Sequence[Truth], streams: int) -> float:
    """Achieved / requested rate of a closed loop by the server's own log, whatever the generator says of itself.

    A closed loop of C streams that asks again without delay keeps C answers under way. The share is the answers that
    were, on average between the first and the last time the server got a request, per C.

    Raises ValueError if there are fewer than two requests.
    """
    begins = sorted(truth.parsed_ns for truth in truths)
    if len(begins) < 2 or begins[0] == begins[-1]:
        raise ValueError(f"{len(begins)} requests are too few to tell a rate")
    first, last = begins[0], begins[-1]
    busy = sum(min(truth.last_ns or last, last) - truth.parsed_ns for truth in truths)
    return busy / (streams * (last - first))


def cpu_between(samples: Sequence[tuple[int, float]], first_ns: int, last_ns: int) -> float | None:
    """CPU seconds between two times, interpolated in samples (ns, CPU seconds so far); None if they do not reach."""
    ends = [_at(samples, time) for time in (first_ns, last_ns)]
    return None if None in ends else max(0.0, (ends[1] or 0.0) - (ends[0] or 0.0))


def _at(samples: Sequence[tuple[int, float]], time_ns: int) -> float | None:
    for (early, low), (late, high) in pairwise(samples):
        if early <= time_ns <= late:
            return low + (high - low) * (time_ns - early) / (late - early) if late > early else low
    return None


def trial_of(
    tool: str,
    number: int,
    streams: int,
    result: LoadResult,
    truths: Sequence[Truth],
    timing: EchoTiming,
    *,
    cpu: Sequence[tuple[int, float]],
    stall_share: float | None,
) -> Trial:
    """The figures of one run of a generator against an echo server of its own.

    Raises NoControl if no request can be compared.
    """
    rows = result.measured
    ids = {row.request_id for row in rows}
    mine = [truth for truth in truths if truth.request_id in ids and truth.last_ns]
    errors = generator_errors_ms(rows, mine)
    if len(errors) < 2:
        failed = next((f": {row.error}: {row.detail}" for row in rows if not row.ok), "")
        raise NoControl(f"{tool}: {len(errors)} of {len(rows)} requests can be compared with the server{failed}")
    first, last = min(truth.parsed_ns for truth in mine), max(truth.last_ns for truth in mine)
    spent = cpu_between(cpu, first, last)
    # answers of the warm-up wave end within the same time
    tokens = timing.tokens * sum(first <= truth.last_ns <= last for truth in truths)
    return Trial(
        tool=tool,
        round=number,
        streams=streams,
        asked=len(rows),
        ok=sum(row.ok for row in rows),
        compared=len(errors),
        error_p50=quantile(errors, 0.5),
        error_p90=quantile(errors, 0.9),
        error_p99=quantile(errors, 0.99),
        rate_share=busy_share(mine, streams),
        cpu_us_per_token=None if spent is None else spent * 1e6 / tokens,
        server_p99=quantile(lateness_ms(mine, timing), 0.99),
        stall_share=stall_share,
        wall_seconds=(result.tail.ended_ns - result.head.started_ns) / 1e9,
    )


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A generator at one number of streams: the medians of its rounds; units as in `Trial`."""

    tool: str
    streams: int
    rounds: int
    requests: int
    failed: int
    error_p50: float
    error_p90: float
    error_p99: float
    rate_share: float
    cpu_us_per_token: float | None


def summaries(trials: Sequence[Trial]) -> list[Summary]:
    """One summary for every generator and number of streams, in the order in which they first appear, by streams."""
    groups: dict[tuple[int, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.streams, trial.tool), []).append(trial)
    found: list[Summary] = []
    for (streams, tool), group in sorted(groups.items(), key=lambda item: item[0][0]):
        prices = [trial.cpu_us_per_token for trial in group if trial.cpu_us_per_token is not None]
        found.append(
            Summary(
                tool=tool,
                streams=streams,
                rounds=len(group),
                requests=sum(trial.compared for trial in group),
                failed=sum(trial.asked - trial.ok for trial in group),
                error_p50=median(trial.error_p50 for trial in group),
                error_p90=median(trial.error_p90 for trial in group),
                error_p99=median(trial.error_p99 for trial in group),
                rate_share=median(trial.rate_share for trial in group),
                cpu_us_per_token=median(prices) if prices else None,
            )
        )
    return found
