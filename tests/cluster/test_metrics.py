"""Scraping over HTTP: what is answered instead of metrics is one line that names the server and holds no secret."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.metrics import NoMetricsHere, scrape
from tests.load.servers import fixed, serving

PAGE = '# TYPE a counter\na{x="é"} 1\n'.encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


def scraped(answer: bytes | Callable[[str], bytes], *, close: bool = False) -> list[tuple[str, dict[str, str], float]]:
    def talk(sock: socket.socket, _: int) -> bool:
        sock.sendall(answer if isinstance(answer, bytes) else answer(url))
        return not close

    with serving(talk) as (url, told):
        found = scrape("model server a", f"{url}/metrics")
        assert "accept: text/plain;version=0.0.4" in told.requests[0][1]
    return [(one["name"], one["labels"], one["value"]) for one in found]


@pytest.mark.parametrize(
    "answer",
    [
        fixed(PAGE, kind="text/plain"),
        fixed(PAGE, kind="application/octet-stream"),
        fixed(gzip.compress(PAGE), kind="text/plain", more="content-encoding: gzip\r\n"),
        fixed(gzip.compress(PAGE), kind="text/plain"),
        PLAIN + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE),
    ],
    ids=["plain", "no charset, odd type", "gzip", "gzip without a word", "chunked"],
)
def test_a_page_is_read(answer: bytes) -> None:
    """Red when a label in UTF-8 is read as Latin-1, or packed pages are not unpacked."""
    assert scraped(answer) == [("a_total", {"x": "é"}, 1.0)]


@pytest.mark.parametrize("page", [PAGE, PAGE.rstrip()])
def test_a_page_that_ends_with_the_connection_needs_its_last_newline(page: bytes) -> None:
    """Red when a number that may be cut is taken as it stands."""
    if page == PAGE:
        assert scraped(PLAIN + b"connection: close\r\n\r\n" + page, close=True)
        return
    with pytest.raises(NoMetricsHere, match="the metrics of model server a cannot be read: the page is cut"):
        scraped(PLAIN + b"connection: close\r\n\r\n" + page, close=True)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fixed(b"no", status="401 Unauthorized"), "refused: 401, its page wants credentials"),
        (fixed(b"no", status="403 Forbidden"), "refused: 403, its page wants credentials"),
        (fixed(b"404 page\n not found\n", status="404 Not Found"), "refused: 404 404 page not found"),
        (fixed(b"", status="503 Service Unavailable"), "refused: 503"),
        (fixed(b"<html><title>Sign in</title>", kind="text/html"), "an HTML page ('Sign in')"),
        (fixed(b"404 page not found", kind="text/plain"), "no Prometheus metrics"),
        (fixed(b"", kind="text/plain"), "the page is empty"),
        (fixed(b"[]", kind="application/json"), "JSON, no Prometheus metrics"),
        (fixed(b"\x0a\x10", kind="application/vnd.google.protobuf"), "come as protobuf"),
        (PLAIN + b"content-length: 999\r\n\r\na 1\n", "the page is cut, its transfer broke off"),
        (PLAIN + b"transfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n", "the page is cut, its transfer broke off"),
    ],
)
def test_anything_else_is_one_line_that_names_the_server(answer: bytes, words: str) -> None:
    """Red when a login page, a cut or empty page gives samples, a traceback, or a line without the server."""
    with pytest.raises(ClusterError) as caught:
        scraped(answer, close=True)
    said = str(caught.value)
    assert said.startswith("the metrics of model server a ") and words in said and "\n" not in said


def test_where_a_redirect_led_is_said_without_its_secrets() -> None:
    """Red when a login page behind a redirect is not told as such, or its query, which holds a token, is shown."""
    begun: list[str] = []

    def answer(url: str) -> bytes:
        begun.append(url)
        if len(begun) == 1:
            return fixed(b"", status="302 Found", more=f"location: {url}/login?token=S3CRET\r\n")
        return fixed(b"<html><title>Sign in</title>", kind="text/html")

    with pytest.raises(ClusterError) as caught:
        scraped(answer)
    assert f"(sent on to {begun[0]}/login)" in str(caught.value) and "S3CRET" not in str(caught.value)
