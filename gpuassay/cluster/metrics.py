"""Metrics of programs, as their pages tell them: scraped, and refused by one line that names who was asked."""

from __future__ import annotations

import time
from typing import TypedDict
from urllib.parse import urlsplit

import requests

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import ANSWER_SECONDS, http
from gpuassay.record.exposition import PageError, parse_page

ACCEPT = {"accept": "text/plain;version=0.0.4;q=1,text/plain;q=0.9,*/*;q=0.1"}
"""Text is asked for: some servers send protobuf to who takes anything."""


class Sample(TypedDict):
    """One sample of a scrape: receipt time (ns since the epoch), metric, labels, value."""

    at: int
    name: str
    labels: dict[str, str]
    value: float


class NoMetricsHere(ClusterError):  # noqa: N818 - reads as what it is
    """What answers has another page at this address: the metrics may stand at another path."""


def scrape(
    what: str, url: str, session: requests.Session | None = None, seconds: float = ANSWER_SECONDS
) -> list[Sample]:
    """All samples at `url` now.

    Names of counters end in `_total` even where the program leaves that out: they are brought into the form of
    OpenMetrics, so both spellings are one name here.

    Args:
        what: who is asked, for messages.
        url: of the metrics page.
        session: connections to be used again.
        seconds: to wait for an answer.

    Raises:
        NoMetricsHere: there is no page at this address (404), or one that holds no metrics.
        ClusterError: no answer in time, or a refusal.
    """
    try:
        answer = (session or http()).get(url, timeout=seconds, headers=ACCEPT)
    except requests.Timeout:
        raise ClusterError(f"the metrics of {what} cannot be had: no answer within {seconds:g} s") from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise ClusterError(f"the metrics of {what} cannot be had: the page is cut, its transfer broke off") from None
    except (OSError, requests.RequestException) as error:
        raise ClusterError(f"the metrics of {what} cannot be had: {_line(str(error))}") from None
    return answered(what, answer)


def answered(what: str, answer: requests.Response) -> list[Sample]:
    """The samples of an answer that has just come. Raises ClusterError as `scrape`."""
    now = time.time_ns()
    status = answer.status_code
    if status in (401, 403):
        raise ClusterError(f"the metrics of {what} are refused: {status}, its page wants credentials")
    if status != 200:
        kind = NoMetricsHere if status == 404 else ClusterError
        raise kind(f"the metrics of {what} are refused: {status} {_line(answer.text)}".rstrip())
    if answer.history:
        what += f" (sent on to {_place(answer.url)})"
    # a body that ends with the connection may have been cut there; every other length is checked by the client
    whole = "content-length" in answer.headers or "chunked" in answer.headers.get("transfer-encoding", "").lower()
    return parse(answer.content, now, what, answer.headers.get("content-type", ""), whole=whole)


def parse(
    page: str | bytes, at: int | None = None, what: str = "the server", content_type: str = "", *, whole: bool = True
) -> list[Sample]:
    """The samples of a metrics page that was had `at` (ns since the epoch; now). Names as of `scrape`.

    Args:
        page: the body.
        at: receipt time.
        what: who was asked, for messages.
        content_type: of the answer.
        whole: whether the transport vouches that nothing is missing at the end.

    Raises:
        NoMetricsHere: it is no page of Prometheus metrics, or not a whole one; one line says what it is.
    """
    now = time.time_ns() if at is None else at
    try:
        found = parse_page(page, content_type, whole=whole)
    except PageError as error:
        raise NoMetricsHere(f"the metrics of {what} cannot be read: {error}") from None
    return [{"at": now, "name": one.name, "labels": one.labels, "value": one.value} for one in found]


def _place(url: str) -> str:
    """Scheme, host and path: what stands behind them may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
