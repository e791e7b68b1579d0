"""Headers and certificates that a gateway wants: sent, never shown; and streams of /v1/responses are read."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from gpuassay.load import credentials as known
from gpuassay.load.credentials import CERTIFICATE, HEADERS, credentials, read_headers
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Ask, ClosedLoop, Plan, completion_body
from gpuassay.load.runner import run
from gpuassay.load.tls import client_context
from gpuassay.secrets import hide_known
from tests.load.servers import DONE, serving, stream, token

CANARY = "canary-Key-8261"
FILE = f"# who we are\nHost: llm.example.org\n\nX-Api-Key: {CANARY}\nX-Gateway-Base-Model-Name: llama\n"


def plan(url: str, **more: object) -> Plan:
    settled = {"bodies": {"a": completion_body("hi", 2)}, "asks": (Ask("a"),), "shape": ClosedLoop(1), "timeout": 5}
    return Plan(url=url, model="m", **settled | more)  # pyright: ignore[reportArgumentType]


def test_headers_of_a_file_are_sent_and_what_they_say_is_hidden(tmp_path: Path) -> None:
    """Red when a route by Host is not met, a key is not sent, or stands in a file that the load leaves."""
    file = tmp_path / "headers.txt"
    file.write_text(FILE)
    with serving(lambda sock, _: sock.sendall(stream(token(CANARY), token(), DONE))) as (url, told):
        result = run(plan(url, preflight=False), tmp_path / "load", environ={HEADERS: str(file)})
    assert [row.error for row in result.rows] == [""]
    head = told.requests[0][1]
    assert "\r\nhost: llm.example.org\r\n" in f"\r\n{head}" and f"x-api-key: {CANARY.lower()}" in head
    assert head.count("host:") == 1 and "x-gateway-base-model-name: llama" in head
    left = [one for one in (tmp_path / "load").rglob("*") if one.is_file()]
    assert left and not [one for one in left if CANARY in one.read_text()]


def test_a_file_of_headers_is_read_and_its_values_are_known_for_secrets(tmp_path: Path) -> None:
    """Red when a comment is a header, or a key that a server says back is printed."""
    file = tmp_path / "headers.txt"
    file.write_text(FILE)
    assert credentials({HEADERS: str(file), known.TOKEN: "t"}) == {
        "host": "llm.example.org", "x-api-key": CANARY, "x-gateway-base-model-name": "llama",
        "authorization": "Bearer t",
    }  # fmt: skip
    assert CANARY not in hide_known(f"wrong key {CANARY}") and "llm.example.org" in hide_known("llm.example.org")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no header"),
        ("s3cret\n", "line 1 is not of the form NAME: VALUE"),
        ("a: 1\nA: s3cret\n", "line 2 names a again"),
        ("content-length: 1\n", "line 1: content-length is set by whoever sends the request"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_of_headers_that_will_not_do_is_one_line(tmp_path: Path, content: str | None, words: str) -> None:
    """Red when a broken file is sent in part, or the line that refuses it shows a value."""
    file = tmp_path / "headers.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(LoadError) as caught:
        read_headers(file, "--gateway-headers")
    assert str(caught.value).startswith("--gateway-headers ") and words in str(caught.value)
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


@contextmanager
def wants_certificate(authority: trustme.CA) -> Generator[str]:
    """A TLS server that talks only to clients with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(sock, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(stream(token(), token(), DONE, more="connection: close\r\n"))
            except OSError:
                sock.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_a_gateway_that_wants_our_certificate_gets_it(tmp_path: Path) -> None:
    """Red when mutual TLS cannot be spoken, or a load without a certificate passes there."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = tmp_path / "client.pem"
    authority.issue_cert("client.example.org").private_key_and_cert_chain_pem.write_to_path(ours)
    trust = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    with wants_certificate(authority) as url:
        shown = run(plan(url, preflight=False), tmp_path / "a", environ={**trust, CERTIFICATE: str(ours)})
        bare = run(plan(url, preflight=False), tmp_path / "b", environ=trust)
    assert [row.error for row in shown.rows] == [""] and [bool(row.error) for row in bare.rows] == [True]


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a certificate without a key is a traceback, or is left out without a word."""
    place = tmp_path / "client.pem"
    trustme.CA().cert_pem.write_to_path(place)
    monkeypatch.setenv(CERTIFICATE, str(place))
    with pytest.raises(LoadError, match="no PEM file with a certificate and its key, unencrypted") as caught:
        client_context(verify=True)
    assert "\n" not in str(caught.value)


def event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


USAGE = {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}
TEXTS = [event("response.output_text.delta", delta=word) for word in ("a", "b")]
BEGIN = event("response.created", response={"status": "in_progress", "usage": None})


@pytest.mark.parametrize(
    ("events", "error", "tokens"),
    [
        ([BEGIN, *TEXTS, event("response.completed", response={"status": "completed", "usage": USAGE})], "", 2),
        (
            [BEGIN, *TEXTS, event("response.incomplete", response={
                "usage": USAGE, "incomplete_details": {"reason": "max_output_tokens"}})], "", 2,
        ),
        ([BEGIN, *TEXTS], "truncated", None),
        ([BEGIN, TEXTS[0], event("response.failed", response={"error": {"message": "died"}})], "error-event", None),
        ([BEGIN, TEXTS[0], event("response.incomplete", response={"incomplete_details": {"reason": "content_filter"}})],
         "unfinished", None),
    ],
)  # fmt: skip
def test_a_stream_of_responses_is_read(tmp_path: Path, events: list[bytes], error: str, tokens: int | None) -> None:
    """Red when a good stream of /v1/responses is a failure, or one that is cut or failed is none."""
    with serving(lambda sock, _: sock.sendall(stream(*events))) as (url, _):
        result = run(plan(url, preflight=False, path="/v1/responses"), tmp_path / "load")
    [row] = result.rows
    assert row.error == error, row.detail
    if not error:
        assert (row.tokens, row.tokens_from, row.prompt_tokens, row.cached_tokens) == (tokens, "usage", 7, 4)
