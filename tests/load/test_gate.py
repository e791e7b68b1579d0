from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.load.control import control
from gpuassay.load.gate import Control, NoControl, control_of, doubts, generator_errors_ms, rate_share, require_valid
from gpuassay.load.plan import CHAT_COMPLETIONS, ClosedLoop, Poisson
from gpuassay.load.timing import MILLISECOND_NS as MS
from gpuassay.load.timing import EchoTiming, Truth
from gpuassay.verdict import Inconclusive
from tests.load.test_figures import result, row

TIMING = EchoTiming(ttft_ms=20, ttft_jitter=0, itl_ms=10, tokens=3)


def known(**change: float) -> Control:
    values: dict[str, float] = {
        "asked": 100, "ok": 100, "error_p50": 0.2, "error_p99": 0.9, "lag_p50": 0.1, "lag_p99": 1, "server_p99": 0.1,
        "rate_share": 0.99, "cpu_share": 0.1, **change,
    }  # fmt: skip
    return Control(concurrency=64, body_bytes=100, timing=TIMING, **values)  # pyright: ignore[reportArgumentType]


def truth(index: int, first: float, last: float) -> Truth:
    return Truth(f"load-{index}", 500 * MS, round((500 + first) * MS), round((500 + last) * MS), 100)


def test_an_effect_three_times_the_error_can_be_judged_and_a_smaller_one_not() -> None:
    # red when: the gate opens for an effect that the generator cannot resolve
    assert doubts(known(), 0.61) == []
    assert doubts(known(), 0.59) == ["generator error P50 0.20 ms is more than a third of the effect of 0.59 ms"]
    assert doubts(known(), 2.8, at=0.99) == []
    assert "P99 0.90 ms" in doubts(known(), 2.6, at=0.99)[0]
    assert doubts(known(error_p50=-0.3), 0.6) and doubts(known(error_p50=float("nan")), 100)


def test_a_rate_below_95_percent_or_a_failed_request_closes_the_gate() -> None:
    # red when: a generator that cannot keep up is believed
    assert "94.0% of the requested rate" in doubts(known(rate_share=0.94), 10)[0]
    assert "the judged run achieved 90.0%" in doubts(known(), 10, sent_share=0.9)[0]
    assert doubts(known(ok=99), 10) == ["1 of 100 control requests failed"]
    require_valid(known(), 10)
    with pytest.raises(Inconclusive, match=r"generator error.*; the control run achieved"):
        require_valid(known(rate_share=0.5), 0.1)
    with pytest.raises(ValueError, match="positive number"):
        doubts(known(), 0)


def test_the_error_is_what_the_client_adds_to_the_servers_own_time() -> None:
    # red when: the server's lateness is laid at the generator's door
    rows = [row(0, first=21), row(1, first=25), row(2, error="timeout"), row(3)]
    assert generator_errors_ms(rows, [truth(0, 20.5, 40), truth(1, 24, 40), truth(2, 20, 40)]) == [0.5, 1.0]


def test_the_rate_of_a_closed_loop_is_what_is_left_of_the_cycle() -> None:
    rows = [row(0, stream=0), row(1, stream=0, start=50), row(2, stream=1), row(3, stream=1, start=50)]
    assert rate_share(rows, [truth(i, 20, 45) for i in range(4)]) == pytest.approx(0.9)


def test_a_control_that_compares_nothing_says_why() -> None:
    with pytest.raises(NoControl, match=r"compared 0 of 1 requests.*connect: refused"):
        control_of(result(row(error="connect", detail="refused")), [], TIMING)


def test_a_live_control_knows_its_load(tmp_path: Path) -> None:
    timing = EchoTiming(ttft_ms=20, itl_ms=5, tokens=4)
    found = control(ClosedLoop(4), 20_000, tmp_path, timing=timing, seconds=0.6, path=CHAT_COMPLETIONS)
    assert found.ok == found.asked >= 60 and found.concurrency == 4
    assert found.body_bytes == 20_000
    assert 0 < found.error_p50 <= found.error_p99 and 0 < found.lag_p50 <= found.lag_p99
    assert 0.5 < found.rate_share < 1
    assert "4 streams, 20000 byte requests" in found.sentence()


def test_a_live_control_of_an_open_loop(tmp_path: Path) -> None:
    found = control(Poisson(100.0, seed=1), 1000, tmp_path, timing=TIMING, seconds=0.6)
    assert found.concurrency is None and found.asked == 54
    assert found.rate_share == pytest.approx(1, abs=0.1)
    assert "open loop" in found.sentence()
