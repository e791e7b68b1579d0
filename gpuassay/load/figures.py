"""The figures of a load run: TTFT, ITL, E2E, goodput, rates, errors. Pure functions of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from gpuassay.load.rows import LoadResult, Row
from gpuassay.stats.quantiles import quantile

MILLISECOND_NS = 1_000_000

_ROUNDING_NS = 1_000
"""What a gap may be off where another generator wrote its times in microseconds."""


@dataclass(frozen=True)
class Spread:
    """A distribution in brief; all values but `n` in the unit of the values (ms in this module)."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread | None:
    """The distribution of `values` (quantiles as `gpuassay.stats.quantiles.quantile`), None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p90, p95, p99 = (quantile(ordered, q) for q in (0.5, 0.9, 0.95, 0.99))
    return Spread(len(ordered), fmean(ordered), p50, p90, p95, p99, ordered[0], ordered[-1])


def ttft_ms(row: Row) -> float | None:
    """Time to first token, ms (`Row.ttft_ns`)."""
    return None if row.ttft_ns is None else row.ttft_ns / MILLISECOND_NS


def e2e_ms(row: Row) -> float | None:
    """End-to-end latency, ms (`Row.e2e_ns`)."""
    return None if row.e2e_ns is None else row.e2e_ns / MILLISECOND_NS


def itl_mean_ms(row: Row) -> float | None:
    """Inter-token latency of one request, ms: (last - first) / (tokens - 1), also called TPOT.

    The definition of GuideLLM and of most papers. It averages a stall away; see `itl_gaps_ms`. None also of a request
    for several choices (`n`, several prompts): tokens are counted together, while gaps are those of each choice.
    """
    if not row.ok or row.first_ns is None or row.last_ns is None or not row.tokens or row.tokens < 2:
        return None
    took = row.last_ns - row.first_ns
    if row.gaps_ns and abs(sum(row.gaps_ns) - took) > len(row.gaps_ns) * _ROUNDING_NS:
        return None
    return took / (row.tokens - 1) / MILLISECOND_NS


def itl_gaps_ms(rows: Iterable[Row]) -> list[float]:
    """The times between events with text of all complete answers, pooled, ms: the definition that shows stalls."""
    return [gap / MILLISECOND_NS for row in rows if row.ok for gap in row.gaps_ns]


@dataclass(frozen=True)
class Slo:
    """A service-level objective for one request, ms; None: no bound. `itl` bounds the request's mean."""

    ttft: float | None = None
    itl: float | None = None
    e2e: float | None = None

    def met(self, row: Row) -> bool:
        """Whether the request was answered in full and within every bound; an unknown time is not within."""
        if not row.ok:
            return False
        seen = ((self.ttft, ttft_ms(row)), (self.itl, itl_mean_ms(row)), (self.e2e, e2e_ms(row)))
        return all(bound is None or (value is not None and value <= bound) for bound, value in seen)


@dataclass(frozen=True)
class Goodput:
    """`share` of the requests that met the objective (failed ones did not), and their `rate` in requests/s."""

    share: float
    rate: float


@dataclass(frozen=True)
class Figures:
    """The figures of a run without its warm-up. Times in ms, rates in 1/s; None where there is nothing to tell.

    Attributes:
        asked, ok, failed: requests; asked = ok + failed.
        warm_up: requests that do not count here.
        errors: failed requests by class.
        ttft, e2e: as `ttft_ms`, `e2e_ms`.
        itl_mean: `itl_mean_ms`, one value per request.
        itl_gaps: `itl_gaps_ms`, one value per gap.
        late: how much after its due time an open loop sent a request.
        rate: complete answers/s. token_rate: output tokens/s.
        requested_rate, sent_rate: of an open loop, requests/s as planned and as sent.
        hit_rate: cached prompt tokens per prompt token, as the server's usage has it.
    """

    asked: int
    ok: int
    failed: int
    warm_up: int
    errors: dict[str, int]
    ttft: Spread | None
    itl_mean: Spread | None
    itl_gaps: Spread | None
    e2e: Spread | None
    late: Spread | None
    rate: float | None
    token_rate: float | None
    requested_rate: float | None
    sent_rate: float | None
    hit_rate: float | None

    @property
    def rate_share(self) -> float | None:
        """Achieved rate of sending per requested rate; None in a closed loop, where nobody requests one."""
        return None if not self.requested_rate or self.sent_rate is None else self.sent_rate / self.requested_rate


def figures(result: LoadResult) -> Figures:
    """All figures of a run."""
    rows = result.measured
    ok = [row for row in rows if row.ok]
    seconds = duration(rows)
    due = [row.due_ns for row in rows if row.due_ns is not None]
    return Figures(
        asked=len(rows),
        ok=len(ok),
        failed=len(rows) - len(ok),
        warm_up=len(result.rows) - len(rows),
        errors=dict(sorted(Counter(row.error for row in rows if not row.ok).items())),
        ttft=spread(_known(map(ttft_ms, rows))),
        itl_mean=spread(_known(map(itl_mean_ms, rows))),
        itl_gaps=spread(itl_gaps_ms(rows)),
        e2e=spread(_known(map(e2e_ms, rows))),
        late=spread((row.start_ns - row.due_ns) / MILLISECOND_NS for row in rows if row.due_ns is not None),
        rate=len(ok) / seconds if seconds else None,
        token_rate=sum(row.tokens or 0 for row in ok) / seconds if seconds else None,
        requested_rate=_rate(due),
        sent_rate=_rate([row.start_ns for row in rows]) if due else None,
        hit_rate=hit_rate(rows),
    )


def duration(rows: Sequence[Row]) -> float:
    """Time from the first start to the last end, s; 0 without rows."""
    if not rows:
        return 0.0
    return (max(row.end_ns for row in rows) - min(row.start_ns for row in rows)) / 1e9


def goodput(rows: Sequence[Row], slo: Slo) -> Goodput:
    """Goodput of `rows` (give `LoadResult.measured`), after Zhong et al., DistServe, OSDI 2024, section 2.

    Raises ValueError if there are no rows.
    """
    if not rows:
        raise ValueError("no requests: no goodput")
    good, seconds = sum(map(slo.met, rows)), duration(rows)
    return Goodput(good / len(rows), good / seconds if seconds else 0.0)


def hit_rate(rows: Iterable[Row]) -> float | None:
    """Prefix-cache hit rate: cached prompt tokens / prompt tokens over complete answers that tell their prompt tokens.

    One of them that tells no cached tokens had none: vLLM leaves `prompt_tokens_details` out of the usage of a miss
    (its `serving_completion.py` and `serving_chat.py`). None where no answer tells any: then it is not known.
    """
    told = [row for row in rows if row.ok and row.prompt_tokens is not None]
    prompt = sum(row.prompt_tokens or 0 for row in told)
    if not prompt or all(row.cached_tokens is None for row in told):
        return None
    return sum(row.cached_tokens or 0 for row in told) / prompt


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _rate(times_ns: Sequence[int]) -> float | None:
    if len(times_ns) < 2 or max(times_ns) == min(times_ns):
        return None
    return (len(times_ns) - 1) / ((max(times_ns) - min(times_ns)) / 1e9)
