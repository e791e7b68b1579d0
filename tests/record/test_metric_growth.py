"""Counters between two scrapes: how much each server's grew, and restarts, which are found server by server."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.metrics import Samples, delta, grown, untold_starts

S = 1_000_000_000
NAME = "hits_total"


def rows(
    source: str, *values: float | None, at: int = 100 * S, started: float | None = None, **more: float
) -> list[Manifest]:
    """Values of a counter by engine, and what else the page has."""
    found: list[tuple[str, dict[str, str], float]] = [
        (NAME, {"engine": str(n)}, value) for n, value in enumerate(values) if value is not None
    ]
    found += [(name, {"engine": "0"} if name.endswith("_created") else {}, value) for name, value in more.items()]
    if started is not None:
        found.append(("process_start_time_seconds", {}, started))
    return [{"at": at, "source": source, "label": "x", "name": n, "labels": lab, "value": v} for n, lab, v in found]


GROWN: dict[str, tuple[list[Manifest], list[Manifest], float]] = {
    "two servers": ([*rows("a", 1), *rows("b", 2)], [*rows("a", 5), *rows("b", 2)], 4),
    "a series that is new": (rows("a", 1), rows("a", 1, 7), 7),
    "a server that is new": (rows("a", 1), [*rows("a", 1), *rows("b", 7)], 7),
    "a server that has started since": (rows("a", 1), [*rows("a", 1), *rows("b", 7, started=101)], 7),
    "nothing before": ([], rows("a", 7), 7),
    "a series at 0 that is gone": (rows("a", 5, 0), rows("a", 6), 1),
    "the same start": (rows("a", 1, started=50.2), rows("a", 2, started=50.4), 1),
    "the same creation": (rows("a", 1, hits_created=50), rows("a", 2, hits_created=50), 1),
    "another counter's start": (rows("a", 1, other_created=50), rows("a", 2, other_created=60), 1),
}


@pytest.mark.parametrize("case", GROWN)
def test_growth(case: str) -> None:
    """Red when a series that was not there does not count from 0, or something is taken for a restart."""
    before, after, expected = GROWN[case]
    assert delta(Samples(before), Samples(after), NAME, {}) == expected


RESTARTED: dict[str, tuple[list[Manifest], list[Manifest], str]] = {
    "it fell": (rows("a", 100), rows("a", 5), r'hits_total\{engine="0"\} of a fell by 95: a server restarted'),
    "one of two fell, the sum rose": (
        [*rows("a", 100), *rows("b", 100)], [*rows("a", 5), *rows("b", 900)], "of a fell by 95",
    ),
    "one of two ranks fell, the sum rose": (rows("a", 100, 50), rows("a", 900, 5), r'engine="1"\} of a fell by 45'),
    "a rank is gone": (rows("a", 100, 50), rows("a", 900), r"fell by 50 \(it is gone\)"),
    "a server is gone": ([*rows("a", 100), *rows("b", 1)], rows("a", 200), "of b: the server is gone"),
    "a server has another name": (rows("a-x1", 100), rows("a-x2", 200), "of a-x1: the server is gone"),
    "regrown, the page tells its start": (
        rows("a", 100, started=50), rows("a", 120, started=150),
        "of a: a server restarted between the scrapes .process_start",
    ),
    "regrown, one of two": (
        [*rows("a", 1, started=50), *rows("b", 1, started=50)], [*rows("a", 9, started=50), *rows("b", 9, started=150)],
        "of b: a server restarted",
    ),
    "regrown, the counter tells its creation": (
        rows("a", 100, hits_created=50), rows("a", 120, hits_created=150),
        "a server restarted between the scrapes .hits_created",
    ),
    "regrown, the container tells its start": (
        rows("a", 1, kube_pod_container_state_started=50), rows("a", 2, kube_pod_container_state_started=150),
        "a server restarted between the scrapes .kube_pod_container_state_started",
    ),
    "regrown, its CPU time fell": (
        rows("a", 1, process_cpu_seconds_total=50), rows("a", 2, process_cpu_seconds_total=3),
        "process_cpu_seconds_total of a fell by 47: a server restarted",
    ),
    "it ran before and was not scraped": (
        rows("a", 1), [*rows("a", 1), *rows("b", 900, started=50)], "of b: it ran when the others were scraped first",
    ),
    "infinite": (rows("a", 1), rows("a", math.inf), "of a is inf: no counter has such a value"),
    "negative": ([], rows("a", -1), "of a is -1: no counter"),
}  # fmt: skip


@pytest.mark.parametrize("case", RESTARTED)
def test_what_is_lost_is_not_known(case: str) -> None:
    """Red when a restart that the sum hides, or after which a counter grew beyond its old value, gives a number."""
    before, after, words = RESTARTED[case]
    with pytest.raises(ValueError, match=words) as caught:
        delta(Samples(before), Samples(after), NAME, {})
    assert "\n" not in str(caught.value)


def test_nan_is_no_value() -> None:
    """Red when NaN passes through a sum: every comparison with it is false."""
    for before, after in (([], rows("a", math.nan)), (rows("a", math.nan), rows("a", 1))):
        with pytest.raises(LookupError, match=r"of a has no value: its page says NaN, or gives that series two values"):
            delta(Samples(before), Samples(after), NAME, {})
    for read in ("sum", "value"):
        with pytest.raises(LookupError, match="has no value"):
            getattr(Samples(rows("a", math.nan)), read)(NAME)


def test_a_gauge_may_fall() -> None:
    """Red when what is no counter is refused for falling."""
    gauge: list[dict[str, Any]] = [{"source": "a", "name": "waiting", "labels": {}, "value": 5}]
    assert delta(Samples(gauge), Samples([gauge[0] | {"value": 2}]), "waiting", {}) == -3


def test_who_tells_no_start_is_named() -> None:
    """Red when nobody hears that a restart could not have been seen."""
    samples = Samples([*rows("a", 1), *rows("b", 1, started=5), *rows("c", 1, hits_created=5), *rows("d", other=1)])
    assert untold_starts(samples, NAME) == ["a"]
    assert grown(samples, samples, "nobody", NAME) == 0


def histogram(*bounds: tuple[str, float], count: float | None = None) -> Samples:
    found: list[tuple[str, dict[str, str], float]] = [("h_bucket", {"le": le} if le else {}, v) for le, v in bounds]
    found += [("h_count", {}, count)] if count is not None else []
    return Samples({"source": "a", "name": n, "labels": lab, "value": v} for n, lab, v in found)


def test_a_histogram_without_its_last_bucket_is_completed_or_refused() -> None:
    """Red when the observations above the last bound are forgotten."""
    assert histogram(("0.5", 1), ("1", 2), count=9).buckets("h") == [(0.5, 1), (1.0, 2), (math.inf, 9)]
    assert histogram(("+Inf", 9), ("1.0", 2)).buckets("h_bucket") == [(1.0, 2), (math.inf, 9)]
    with pytest.raises(LookupError, match=r"histogram h of a lacks its bucket \+Inf"):
        histogram(("0.5", 1)).buckets("h")
    for le in ("", "much"):
        with pytest.raises(LookupError, match="is no bucket: it has no bound le"):
            histogram((le, 1)).buckets("h")
