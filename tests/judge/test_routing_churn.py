"""The judges of churn, on requests that came through and on requests that did not."""

from __future__ import annotations

from gpuassay.systems.llmd.judge import churn
from tests.judge.routes import failed, row


def test_requests_that_came_through_are_right() -> None:
    """Red when a time without losses is blamed."""
    rows = [row(index) for index in range(4)]
    assert churn.account_findings(rows, 4) == []
    assert churn.longest_pause(rows) == 1.0
    assert churn.pause_findings(rows) == []


def test_lost_doubled_and_failed_requests_are_found() -> None:
    """Red when an account that does not close passes."""
    rows = [row(index) for index in range(4)]
    assert churn.account_findings(rows[:3], 4) == ["3 of 4 requests have an outcome"]
    assert churn.account_findings([*rows[:3], row(2)], 4) == ["request 2 has several outcomes"]
    assert churn.account_findings([*rows[:3], failed(3)], 4)


def test_a_standstill_is_found() -> None:
    """Red when nothing ends for longer than two seconds, or nothing ends at all."""
    assert churn.pause_findings([row(0), row(1), row(5)]) == ["no request ended for 4.0 s"]
    assert churn.pause_findings([])
