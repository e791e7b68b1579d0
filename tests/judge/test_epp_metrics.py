"""Sums of histograms under the names of both generations."""

from __future__ import annotations

import pytest

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.epp_metrics import TABLE, grown_sum, sum_findings

OLD, NEW = "inference_objective_input_tokens", "llm_d_epp_request_input_tokens"


def samples(total: float, count: float, name: str = OLD) -> Samples:
    rows: list[tuple[str, float, dict[str, str]]] = [
        (f"{name}_sum", total, {}),
        (f"{name}_count", count, {}),
        (f"{name}_bucket", count, {"le": "+Inf"}),
    ]
    return Samples(
        {"at": 0, "source": "picker", "label": "x", "name": one, "labels": {"model_name": "m"} | labels, "value": value}
        for one, value, labels in rows
    )


@pytest.mark.parametrize("name", [OLD, NEW])
def test_sums(name: str) -> None:
    """Red when one generation's names are overlooked, or a series that was not there before does not count from 0."""
    assert grown_sum(samples(10, 1, name), samples(310, 4, name), "input_tokens") == 300
    assert grown_sum(Samples([]), samples(310, 4, name), "input_tokens", {"model_name": "m"}) == 310
    assert sum_findings(samples(10, 1, name), samples(310, 4, name), {"input_tokens": 300}) == []


def test_wrong_sums_are_told() -> None:
    """Red when tokens that are lost, counted twice or not counted at all pass."""
    before, after = samples(10, 1), samples(310, 4)
    assert sum_findings(before, after, {"input_tokens": 301}) == [
        "input_tokens: expected observations of 301 in sum, seen 300"
    ]
    assert "no series of output_tokens" in sum_findings(before, after, {"output_tokens": 0})[0]
    assert "cached_tokens" in TABLE
