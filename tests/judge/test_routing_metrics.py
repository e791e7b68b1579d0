"""Counters under the names of both generations."""

from __future__ import annotations

import pytest

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.metrics import (
    PICKER,
    SERVER,
    agreement_findings,
    counter_hit_rate,
    delta,
    growth_findings,
    name_in,
)
from tests.judge.routes import failed, row

OLD, NEW = "", "_total"


def samples(values: dict[str, float], source: str = "sim-0", **labels: str) -> list[dict[str, object]]:
    return [
        {"at": 0, "source": source, "label": "x", "name": n, "labels": labels, "value": v} for n, v in values.items()
    ]


def cache(queries: float, hits: float, suffix: str = OLD, source: str = "sim-0") -> list[dict[str, object]]:
    names = {f"vllm:prefix_cache_queries{suffix}": queries, f"vllm:prefix_cache_hits{suffix}": hits}
    return samples(names, source, model_name="m")


@pytest.mark.parametrize("suffix", [OLD, NEW])
def test_hit_rate_over_all_replicas(suffix: str) -> None:
    """Red when one generation's names, or the counters of all but one replica, are overlooked."""
    before = Samples([*cache(100, 50, suffix), *cache(0, 0, suffix, "sim-1")])
    after = Samples([*cache(500, 250, suffix), *cache(600, 600, suffix, "sim-1")])
    assert counter_hit_rate(before, after) == pytest.approx(0.8)
    assert counter_hit_rate(before, after, {"model_name": "m"}) == pytest.approx(0.8)
    assert counter_hit_rate(Samples([]), after) == pytest.approx(850 / 1100), "what was not exported yet was 0"


def test_both_generations_at_once_count_once() -> None:
    """Red when a server that exports both names for a while is counted twice."""
    after = Samples([*cache(200, 100, OLD), *cache(200, 100, NEW)])
    assert delta(Samples([]), after, "prefix_cache_queries") == 200


def test_what_is_not_there_is_no_zero() -> None:
    """Red when a metric that is missing, stood still or fell gives a hit rate."""
    with pytest.raises(
        LookupError, match=r"no series of prefix_cache_queries: looked for the names of vLLM, SGLang, .*; was it"
    ):
        counter_hit_rate(Samples([]), Samples([]))
    with pytest.raises(ValueError, match="no prompt token was looked up"):
        counter_hit_rate(Samples(cache(5, 5)), Samples(cache(5, 5)))
    with pytest.raises(ValueError, match="fell by 95: a server restarted"):
        counter_hit_rate(Samples(cache(100, 5)), Samples(cache(5, 5)))


@pytest.mark.parametrize("prefix", ["inference_objective_", "llm_d_epp_request_"])
def test_a_histogram_counts_its_observations(prefix: str) -> None:
    """Red when k requests do not move a histogram by k, under either name."""
    name = f"{prefix}input_tokens"
    before = Samples(samples({f"{name}_bucket": 2, f"{name}_sum": 90, f"{name}_count": 3}, "picker"))
    after = Samples(samples({f"{name}_bucket": 7, f"{name}_sum": 900, f"{name}_count": 8}, "picker"))
    assert name_in(after, "input_tokens", PICKER) == name
    assert growth_findings(before, after, {"input_tokens": 5}, PICKER) == []
    assert growth_findings(before, after, {"input_tokens": 6}, PICKER) == [
        "input_tokens: expected to grow by 6, seen 5"
    ]
    [missing] = growth_findings(before, after, {"requests": 5}, PICKER)
    assert "no series of requests" in missing


def test_no_name_serves_two_metrics() -> None:
    """Red when a name was copied to the wrong line of a table; SGLang looks up every prompt token in its cache."""
    for table in (SERVER, PICKER):
        names = [
            name for one in table.values() for name in one if "sglang:" not in name and "kv_cache_reused" not in name
        ]
        assert len(names) == len(set(names))


def test_counters_and_answers_agree() -> None:
    """Red when servers count what answers do not say, or answers that failed count."""
    rows = [row(0), row(1, cached_tokens=0), failed(2)]
    assert agreement_findings(rows, Samples(cache(10, 0)), Samples(cache(410, 192))) == []
    assert agreement_findings(rows, Samples(cache(10, 0)), Samples(cache(410, 200))) == [
        "prefix_cache_hits: expected to grow by 192, seen 200"
    ]
    assert (
        "do not say their prompt tokens"
        in agreement_findings([row(0, prompt_tokens=None)], Samples([]), Samples([]))[0]
    )
    assert "no answered requests" in agreement_findings([failed(0)], Samples([]), Samples([]))[0]
