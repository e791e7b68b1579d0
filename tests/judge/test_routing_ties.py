"""The judges of ties, on even draws and on pickers with favourites."""

from __future__ import annotations

import random

from gpuassay.systems.llmd.judge.ties import burst_findings, tie_findings
from gpuassay.systems.llmd.rows import RequestRow
from tests.judge.routes import failed, row

TOP = ("a", "b", "c")


def drawn(*names: str) -> list[RequestRow]:
    return [row(index, served_by=name) for index, name in enumerate(names)]


def test_even_draws_are_right() -> None:
    """Red when a picker that draws evenly is blamed."""
    source = random.Random(1)
    for _ in range(200):
        assert tie_findings(drawn(*source.choices(TOP, k=64)), TOP) == []
        assert burst_findings(drawn(*source.choices("abcd", k=16)), 4) == []
    assert tie_findings(drawn(*["a"] * 48), ["a"]) == []


def test_a_favourite_is_found() -> None:
    """Red when the first of equals gets everything, or one of them nothing."""
    assert "even draws do that" in tie_findings(drawn(*["a"] * 64), TOP)[0]
    assert "even draws do that" in tie_findings(drawn(*["a", "b"] * 32), TOP)[0]
    assert burst_findings(drawn(*["a"] * 16), 4) == ["a got 16 of 16, chance allows 12"]


def test_somebody_else_is_found() -> None:
    """Red when a replica below the top gets a request."""
    assert tie_findings(drawn(*["a", "b", "c"] * 15, "d"), TOP) == [
        "with a+b+c at the top others were picked: {'d': 1}"
    ]


def test_refusals_are_no_even_draw() -> None:
    """Red when requests that came to nothing are left out."""
    assert tie_findings([*drawn(*TOP * 16), failed(48)], TOP)
    assert burst_findings([failed(0)], 4)
