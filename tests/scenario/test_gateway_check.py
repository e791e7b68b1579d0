"""What is wrong with somebody's gateway is one line that says what to do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.existing import preflight as gateway_check
from gpuassay.systems.llmd.existing.gateway import Place
from gpuassay.systems.llmd.existing.preflight import check_gateway
from tests.load.servers import DONE, HEAD, chunked, fixed, serving, stream, token

GOOD = stream(token(), token(), DONE)


def place_at(url: str, model: str = "m", **more: object) -> Place:
    return Place(url, model, "ns", "pool", **more)  # pyright: ignore[reportArgumentType]


def said_of(answer: bytes, models: bytes | None = None, *, hang_up: bool = False, model: str = "m") -> str:
    def talk(sock: socket.socket, _: int) -> bool:
        sock.sendall(answer)
        return not hang_up

    with serving(talk, **({} if models is None else {"models": models})) as (url, _):
        with pytest.raises(ClusterError) as caught:
            check_gateway(place_at(url, model))
        assert "\n" not in str(caught.value) and "object at" not in str(caught.value)
        return str(caught.value).replace(url, "URL")


def test_a_gateway_that_streams_passes() -> None:
    """Red when the check refuses what is good, or leaves out the caller's headers."""
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, told):
        check_gateway(place_at(url, headers={"authorization": "Bearer x"}))
    assert "authorization: bearer x" in told.requests[0][1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fixed(b"who are you", status="401 Unauthorized"), "answers 401: put a bearer token"),
        (
            fixed(b"", status="403 Forbidden"),
            "answers 403: put a bearer token that it accepts into GPUASSAY_GATEWAY_TOKEN",
        ),
        (
            fixed(b"slow down", status="429 Too Many Requests"),
            "answers 429: it sheds load or has no ready endpoint; slow",
        ),
        (fixed(b"", status="503 Service Unavailable"), "answers 503: it sheds load or has no ready endpoint"),
        (fixed(b"<html>", status="404 Not Found"), "answers 404: not an OpenAI-like gateway, or not ready; <html>"),
        (fixed(b"model m?", status="404 Not Found"), "model 'm' is unknown: model m? (--gateway-model)"),
        (fixed(b'{"choices":[]}'), "application/json came: not SSE"),
        (stream(token()), "the stream ends without [DONE]"),
        (stream(b"data: {oops\n\n", DONE), "an event of the stream is not JSON"),
        (stream(b'data: {"error":{"message":"engine died"}}\n\n', DONE), "the stream holds an error: "),
        (stream(b'data: {"hello":1}\n\n', DONE), "the stream has no OpenAI-like event"),
    ],
)
def test_an_answer_that_will_not_do_is_one_line(answer: bytes, words: str) -> None:
    """Red when one of these ends as many failed behaviours, or as a traceback."""
    assert words in said_of(answer)


@pytest.mark.parametrize("answer", [chunked(token()), HEAD + b"content-length: 99\r\n\r\n" + token()])
def test_a_stream_that_is_half_closed_is_one_line(answer: bytes) -> None:
    """Red when a connection that ends within the answer counts as its end."""
    assert "the answer broke off" in said_of(answer, hang_up=True)


@pytest.mark.parametrize(
    "answer",
    [
        stream(token(), b'data: {"choices": null, "usage": {"completion_tokens": 1.0}}\n\n', DONE),
        stream(b'data: ""\n\n', token(), b"data: [DONE]"),
        stream(b'data: {"choices":[{"text":"a","finish_reason":"length"}]}\n\n'),
        stream(b'data: {"choices":[{"text":""}]}\n\n', DONE),  # two tokens may be ones without text
        chunked(token(), DONE) + b"0\r\n\r\n",
    ],
)
def test_a_stream_that_the_load_generator_reads_will_do(answer: bytes) -> None:
    """Red when the check refuses what is measured later."""
    with serving(lambda sock, _: sock.sendall(answer)) as (url, _):
        check_gateway(place_at(url))


def test_a_redirect_is_one_line_that_says_where() -> None:
    """Red when a gateway behind a redirect reads as one that is not ready, or a password in it is shown."""
    more = "location: https://me:s3cret@gate.test/v1?key=s3cret\r\n"
    said = said_of(fixed(b"", status="308 Permanent Redirect", more=more))
    assert "answers 308, a redirect to https://gate.test/v1; name that one (--gateway-url)" in said


def test_an_entry_of_netrc_replaces_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the password that ~/.netrc has for the gateway's host is sent in place of the token that was given."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, told):
        check_gateway(place_at(url, headers={"authorization": "Bearer x"}))
    assert "authorization: bearer x" in told.requests[0][1] and "basic" not in told.requests[0][1]


def test_a_model_list_that_will_not_do_is_one_line() -> None:
    """Red when an unknown model is found out by failing behaviours."""
    assert "model 'm' is unknown; the gateway has a, b" in said_of(GOOD, b'{"data":[{"id":"a"},{"id":"b"}]}')
    assert "URL/v1/models answers no OpenAI-like model list: <html>" in said_of(GOOD, b"<html>")
    assert "no OpenAI-like model list" in said_of(GOOD, b'{"data":[{}]}')


def test_a_dead_gateway_and_a_silent_one_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a wrong URL hangs, or shows addresses of objects."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # nobody listens there
        with pytest.raises(ClusterError, match="refused; check --gateway-url and that the gateway runs") as caught:
            check_gateway(place_at(f"http://127.0.0.1:{sock.getsockname()[1]}"))
    assert "object at" not in str(caught.value)
    monkeypatch.setattr(gateway_check, "SECONDS", 0.3)
    enough = threading.Event()
    with serving(lambda _, __: bool(enough.wait(5))) as (url, _):
        with pytest.raises(ClusterError, match=r"no answer within 0\.3 s"):
            check_gateway(place_at(url))
        enough.set()


@contextmanager
def behind_tls(pair: trustme.LeafCert) -> Generator[str]:
    """A TLS server that answers everything with a model list."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
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
                    secure.sendall(fixed(b'{"data":[]}', more="connection: close\r\n"))
            except OSError:
                sock.close()  # the client does not trust us

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request:Warning")
def test_a_certificate_that_is_not_trusted_is_one_line() -> None:
    """Red when an untrusted gateway is believed, or the way out is not named."""
    with behind_tls(trustme.CA().issue_cert("127.0.0.1")) as url:
        with pytest.raises(ClusterError, match=r"TLS is not trusted: .*REQUESTS_CA_BUNDLE, or add --gateway-insecure"):
            check_gateway(place_at(url))
        with pytest.raises(ClusterError, match="model 'm' is unknown; the gateway has none"):
            check_gateway(place_at(url, verify_tls=False))
