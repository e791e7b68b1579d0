"""Prometheus metrics of the programs of an arm."""

from __future__ import annotations

import time
from typing import TypedDict

import requests
from prometheus_client.parser import text_string_to_metric_families

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import ANSWER_SECONDS, http


class Sample(TypedDict):
    """One sample of a scrape: receipt time (ns since the epoch), metric, labels, value."""

    at: int
    name: str
    labels: dict[str, str]
    value: float


def scrape(what: str, url: str, session: requests.Session | None = None) -> list[Sample]:
    """All samples at `url` now.

    Names of counters end in `_total` even where the program leaves that out: the parser brings them into the form of
    OpenMetrics, so both spellings are one name here.

    Args:
        what: who is asked, for messages.
        url: of the metrics page.
        session: connections to be used again.

    Raises:
        ClusterError: no answer within five seconds, or a refusal.
    """
    try:
        answer = (session or http()).get(url, timeout=ANSWER_SECONDS)
    except (OSError, requests.RequestException) as error:
        raise ClusterError(f"the metrics of {what} cannot be had: {error}") from None
    now = time.time_ns()
    if answer.status_code != 200:
        raise ClusterError(f"the metrics of {what} are refused: {answer.status_code} {answer.text.strip()[:200]}")
    return parse(answer.text, now)


def parse(text: str, at: int | None = None) -> list[Sample]:
    """The samples of a metrics page that was had `at` (ns since the epoch; now). Names as of `scrape`."""
    now = time.time_ns() if at is None else at
    return [
        {"at": now, "name": sample.name, "labels": dict(sample.labels), "value": float(sample.value)}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def total(samples: list[Sample], metric: str, /, **labels: str) -> float:
    """Sum of the samples of a metric that carry `labels`; 0 where there are none."""
    return sum(
        sample["value"]
        for sample in samples
        if sample["name"] == metric and all(sample["labels"].get(key) == value for key, value in labels.items())
    )
