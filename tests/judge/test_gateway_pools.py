"""Judges of several pools: they tell a picker that was asked for another pool's requests."""

from __future__ import annotations

import pytest

from gpuassay.load.headers import NAMESPACE
from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge import gateway_pools
from gpuassay.systems.llmd.rows import RequestRow
from tests.judge.routes import failed, row

POOLS = {"ns-a": "first", "ns-b": "second"}


def served(index: int, namespace: str | None) -> RequestRow:
    """An answer of a Pod in a namespace."""
    return row(index, headers={} if namespace is None else {NAMESPACE: namespace})


def counter(value: float, name: str = "inference_objective_request_total") -> Samples:
    """One series of a picker."""
    return Samples([{"source": "p", "name": name, "labels": {}, "value": value}])


def test_pools_served() -> None:
    """Red when a failed answer counts, or a stranger is taken for a member."""
    rows = [served(0, "ns-a"), served(1, "ns-b"), served(2, "ns-b"), served(3, None), failed(4)]
    assert gateway_pools.pools_served(rows, POOLS) == {"first": 1, "second": 2, "neither": 1}


@pytest.mark.parametrize("name", ["inference_objective_request_total", "llm_d_epp_request_total"])
def test_picker_counted(name: str) -> None:
    """Red when a generation of names is unknown, or a counter that was not there yet counts as broken."""
    assert gateway_pools.picker_counted(counter(3, name), counter(15, name)) == 12
    assert gateway_pools.picker_counted(Samples([]), counter(15, name)) == 15
    assert gateway_pools.picker_counted(Samples([]), Samples([])) == 0


def test_asked_of() -> None:
    """Red when another pool's picker is asked, one is asked twice, or nothing was served."""
    assert gateway_pools.asked_of_findings("w", {"first": 2}, {"first": 2, "second": 0}) == []
    crossed = gateway_pools.asked_of_findings("w", {"first": 36, "second": 84}, {"first": 120, "second": 0})
    assert crossed == [
        "w: pool 'first' served 36 requests, its picker was asked for 120",
        "w: pool 'second' served 84 requests, its picker was asked for 0",
    ]
    assert gateway_pools.asked_of_findings("w", {"neither": 2}, {"first": 2})
    assert gateway_pools.asked_of_findings("w", {}, {})


def test_weight_bounds() -> None:
    """Red when half and half, or all, passes for 70 percent."""
    low, high = gateway_pools.weight_bounds(120, 0.7)
    assert 60 < low < 84 < high < 120
