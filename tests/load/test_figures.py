from __future__ import annotations

import pytest

from gpuassay.load.figures import Goodput, Slo, e2e_ms, figures, goodput, hit_rate, itl_gaps_ms, itl_mean_ms, ttft_ms
from gpuassay.load.rows import Head, LoadResult, Row, Tail

MS = 1_000_000


def row(
    index: int = 0, *, start: float = 0, first: float = 20, gaps: tuple[float, ...] = (10, 10), **more: object
) -> Row:
    """A request of times in ms."""
    last = first + sum(gaps)
    made = Row(index=index, label="p", warm_up=False, request_id=f"load-{index}")
    made.start_ns, made.headers_ns, made.first_ns = (
        int((100 + start) * MS),
        int((101 + start) * MS),
        int((100 + start + first) * MS),
    )
    made.last_ns, made.end_ns = int((100 + start + last) * MS), int((101 + start + last) * MS)
    made.gaps_ns, made.tokens, made.tokens_from = [int(gap * MS) for gap in gaps], len(gaps) + 1, "usage"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def result(*rows: Row) -> LoadResult:
    ok = sum(one.ok for one in rows)
    head = Head(
        format=1, plan="", url="", path="", model="m", planned=len(rows), mine=len(rows), warm_up=0, concurrency=1,
        shard=(0, 1), started_ns=0, wall_ns=0, boot="", generator="",
    )  # fmt: skip
    tail = Tail(ended_ns=1, asked=len(rows), ok=ok, failed=len(rows) - ok, interrupted=False, lag_ns=[1], cpu_seconds=0)
    return LoadResult(head, list(rows), tail)


def test_times_of_a_request_follow_their_definitions() -> None:
    # red when: a definition is swapped for another that carries the same name elsewhere
    one = row(first=20, gaps=(10, 10, 40), tokens=7)
    assert (ttft_ms(one), e2e_ms(one), itl_mean_ms(one)) == (20, 81, 10)
    assert itl_gaps_ms([one]) == [10, 10, 40]


def test_a_failed_request_has_no_times() -> None:
    bad = row(error="truncated")
    assert (ttft_ms(bad), e2e_ms(bad), itl_mean_ms(bad), itl_gaps_ms([bad])) == (None, None, None, [])


def test_one_token_has_no_inter_token_latency() -> None:
    assert itl_mean_ms(row(gaps=(), tokens=1)) is None


def test_figures_leave_warm_up_out_and_count_every_failure() -> None:
    # red when: warm-up gets into figures, or a failure out of the counts
    seen = figures(
        result(
            row(0, first=900, warm_up=True), row(1), row(2, start=50), row(3, error="http-503"), row(4, error="timeout")
        )
    )
    assert (seen.asked, seen.ok, seen.failed, seen.warm_up) == (4, 2, 2, 1)
    assert seen.errors == {"http-503": 1, "timeout": 1}
    assert seen.ttft is not None and seen.ttft.most == 20 and seen.ttft.n == 2
    assert seen.rate == pytest.approx(2 / 0.091) and seen.token_rate == pytest.approx(6 / 0.091)
    assert seen.rate_share is None and seen.late is None


def test_figures_of_nothing_but_failures_are_none_not_an_error() -> None:
    seen = figures(result(row(error="connect")))
    assert seen.ttft is seen.e2e is seen.itl_gaps is seen.itl_mean is seen.hit_rate is None
    assert seen.rate == 0


def test_an_open_loops_rate_is_judged_by_what_was_sent() -> None:
    # red when: a generator that falls behind reports the planned rate
    rows = [row(i, start=20 * i, due_ns=(100 + 10 * i) * MS) for i in range(11)]
    seen = figures(result(*rows))
    assert (seen.requested_rate, seen.sent_rate) == (pytest.approx(100), pytest.approx(50))
    assert seen.rate_share == pytest.approx(0.5)
    assert seen.late is not None and seen.late.most == 100


def test_goodput_counts_failures_as_not_good() -> None:
    # red when: goodput is a share of the answers instead of the requests
    rows = [row(0), row(1, first=80), row(2, gaps=(90, 90)), row(3, error="http-503")]
    assert goodput(rows, Slo()).share == 0.75
    assert goodput(rows, Slo(ttft=50)).share == 0.5
    assert goodput(rows, Slo(ttft=50, itl=50)).share == 0.25
    assert goodput(rows, Slo(e2e=1)) == Goodput(0.0, 0.0)
    with pytest.raises(ValueError, match="no requests"):
        goodput([], Slo())


def test_the_hit_rate_is_of_tokens_of_answers_that_tell() -> None:
    rows = [row(0, prompt_tokens=100, cached_tokens=96), row(1, prompt_tokens=300, cached_tokens=0), row(2)]
    assert hit_rate(rows) == pytest.approx(0.24)
    assert hit_rate([row()]) is None


def test_an_answer_that_tells_no_cached_tokens_had_none_unless_nobody_tells() -> None:
    # red when: vLLM's misses, which leave the field out, do not count, or a server that never tells has a hit rate of 0
    hit, miss = row(0, prompt_tokens=100, cached_tokens=96), row(1, prompt_tokens=300)
    assert hit_rate([hit, miss]) == pytest.approx(0.24)
    assert hit_rate([miss]) is None


def test_end_to_end_is_to_the_last_byte_and_not_to_the_last_token() -> None:
    one = row()
    one.end_ns = one.start_ns + 90 * MS
    one.last_ns = one.start_ns + 80 * MS
    assert e2e_ms(one) == 90
