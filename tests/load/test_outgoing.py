"""What goes out: heads as every client sends them, the environment's proxies, trust and credentials."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import trustme

import gpuassay
from gpuassay.load.client import host_field
from gpuassay.load.credentials import TOKEN, credentials
from gpuassay.load.engine import carry_out
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Ask, completion_body
from gpuassay.load.proxies import Proxy, proxy_for
from gpuassay.load.rows import encode_result
from gpuassay.load.session import GatewaySession
from tests.load.servers import DONE, MODELS, fixed, plan_for, serving, stream, token

GOOD = stream(token(), token(), DONE)
BASIC = f"Basic {base64.b64encode(b'me:s3cret/').decode()}"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy and no token but those of the test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in (TOKEN, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def good(sock: socket.socket, _: int) -> None:
    sock.sendall(GOOD)


def models_first(sock: socket.socket, number: int) -> None:
    sock.sendall(GOOD if number else fixed(MODELS))


def test_a_request_says_who_sends_it_and_what_it_takes() -> None:
    """Red when a firewall that wants a User-Agent refuses the load only, or a server is free to pack its events."""
    with serving(good) as (url, told):
        carry_out(plan_for(url, 1))
        with GatewaySession() as session:
            session.get(f"{url}/x", timeout=5)
    load, control = (head for _, head, _ in told.requests)
    assert f"user-agent: gpuassay/{gpuassay.__version__}" in load and "accept-encoding: identity" in load
    assert f"user-agent: gpuassay/{gpuassay.__version__}" in control


@pytest.mark.parametrize(
    ("host", "port", "scheme", "field"),
    [
        ("gate", 80, "http", "gate"),
        ("gate", 443, "https", "gate"),
        ("gate", 443, "http", "gate:443"),
        ("gate", 8080, "http", "gate:8080"),
        ("::1", 80, "http", "[::1]"),
        ("::1", 8080, "http", "[::1]:8080"),
        ("fe80::1%eth0", 8080, "http", "[fe80::1]:8080"),
    ],
)
def test_the_schemes_own_port_is_no_part_of_the_host_field(host: str, port: int, scheme: str, field: str) -> None:
    """Red when virtual hosts do not find `gate:80`, and a sound gateway answers 404 to the load only."""
    assert host_field(host, port, scheme) == field


def test_a_requests_own_header_replaces_ours() -> None:
    """Red when a header is sent twice."""
    own = {"User-Agent": "mine", "Content-Type": "application/json; charset=utf-8", "Accept": "text/event-stream"}
    with serving(good) as (url, told):
        carry_out(plan_for(url, 1, asks=(Ask("p0", own),)))
    head = told.requests[0][1]
    for name, value in own.items():
        assert head.count(f"\n{name.lower()}: ") == 1 and f"{name.lower()}: {value.lower()}\r\n" in head


def test_the_environments_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the load goes past the proxy through which control calls go: it fails where they succeed."""
    with serving(models_first) as (url, told):
        monkeypatch.setenv("HTTP_PROXY", url.replace("http://", "http://me:s3cret%2F@"))
        result = carry_out(plan_for("http://gateway.test", 2))
        assert [row.error for row in result.rows] == ["", ""]
        with GatewaySession() as session:
            session.get("http://gateway.test/x", timeout=5)
    paths = [path for path, _, _ in told.requests]
    assert paths == [
        "http://gateway.test/v1/models",
        *["http://gateway.test/v1/completions"] * 2,
        "http://gateway.test/x",
    ]
    assert all(f"proxy-authorization: {BASIC}".lower() in head for _, head, _ in told.requests)
    assert all("host: gateway.test\r\n" in head for _, head, _ in told.requests)
    assert b"s3cret" not in encode_result(result)


@contextlib.contextmanager
def tls_proxy(pair: trustme.LeafCert, *, status: str = "200 Connected") -> Generator[tuple[str, list[str]]]:
    """A proxy that is the server behind it, too; the heads of CONNECTs that it saw."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    listener, heads = socket.create_server(("127.0.0.1", 0)), list[str]()

    def converse(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(1)
            heads.append(head.decode())
            sock.sendall(f"HTTP/1.1 {status}\r\nproxy-agent: x\r\n\r\n".encode())
            if not status.startswith("2"):
                return
            with context.wrap_socket(sock, server_side=True) as secure:
                while asked := secure.recv(65536):
                    secure.sendall(fixed(MODELS) if asked.startswith(b"GET") else GOOD)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=converse, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextlib.contextmanager
def answering(answer: bytes) -> Generator[str]:
    """A server that takes one connection, reads once, says this and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(answer)

    thread = threading.Thread(target=converse, daemon=True)
    with listener:
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize("bundle", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_tls_server_is_reached_through_a_tunnel(bundle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Red when https goes past the proxy, or an authority that one of our clients trusts is not trusted by the load."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv(bundle, str(tmp_path / "ca.pem"))
    with tls_proxy(authority.issue_cert("gateway.test")) as (place, heads):
        monkeypatch.setenv("https_proxy", f"me:s3cret%2F@{place}")
        rows = carry_out(plan_for("https://gateway.test", 3)).rows
        with GatewaySession() as session:
            assert session.get("https://gateway.test/v1/models", timeout=5).status_code == 200
    assert [row.error for row in rows] == [""] * 3, rows
    assert len(heads) == 3  # model list, load on one connection, control call
    assert all(head.startswith("CONNECT gateway.test:443 HTTP/1.") for head in heads)
    assert all(f"proxy-authorization: {BASIC}".lower() in head.lower() for head in heads)


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a refused tunnel reads as a dead server, or shows the proxy's password."""
    with tls_proxy(trustme.CA().issue_cert("gateway.test"), status="407 Proxy Authentication Required") as (place, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{place}")
        row = carry_out(plan_for("https://gateway.test", 1, preflight=False)).rows[0]
        assert (row.error, row.detail) == ("connect", f"proxy http://{place} answers 407 to CONNECT")
        with pytest.raises(LoadError, match="407") as caught:
            carry_out(plan_for("https://gateway.test", 1))
        assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_dead_proxy_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the load generator hangs or ends because a proxy is not there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # nobody listens there
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{sock.getsockname()[1]}")
            assert carry_out(plan_for(f"{scheme}://gateway.test", 1, preflight=False)).rows[0].error == "connect"


PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("environ", "url", "proxied"),
    [
        ({}, "http://gateway.test", False),
        ({"HTTP_PROXY": PROXY}, "http://gateway.test", True),
        ({"http_proxy": PROXY}, "http://gateway.test", True),
        ({"HTTP_PROXY": "proxy.test:3128"}, "http://gateway.test", True),
        ({"HTTP_PROXY": ""}, "http://gateway.test", False),
        ({"HTTP_PROXY": PROXY}, "https://gateway.test", False),
        ({"HTTPS_PROXY": PROXY}, "https://gateway.test", True),
        ({"HTTPS_PROXY": PROXY}, "http://gateway.test", False),
        ({"ALL_PROXY": PROXY}, "https://gateway.test", True),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "gateway.test"}, "http://gateway.test:8080", False),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": ".test, other"}, "http://gateway.test", False),
        ({"HTTP_PROXY": PROXY, "no_proxy": "test"}, "http://gateway.test", False),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3:8080", False),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, "http://gateway.test", False),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "other.test"}, "http://gateway.test", True),
        ({"HTTP_PROXY": PROXY}, "http://127.0.0.1:8000", False),
        ({"HTTP_PROXY": PROXY}, "http://127.1.2.3", False),
        ({"HTTP_PROXY": PROXY}, "http://[::1]:8000", False),
        ({"HTTP_PROXY": PROXY}, "http://localhost:8000", False),
        ({"ALL_PROXY": "socks5://proxy.test:1080"}, "http://127.0.0.1", False),
    ],
)
def test_a_proxy_is_taken_as_by_other_clients(
    environ: dict[str, str], url: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when the load takes another way than the caller's other programs, or asks a proxy for a loopback address."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert found == (Proxy("proxy.test", 3128, environ.get("ALL_PROXY") or PROXY) if proxied else None)
    with GatewaySession() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
    assert bool(settings["proxies"]) == proxied


@pytest.mark.parametrize(
    "named",
    [
        "socks5://me:s3cret@proxy.test:1080",
        "https://me:s3cret@proxy.test",
        "http://me:s3cret@proxy.test:port",
        "http://me:s3cret@proxy.test:99999",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when it is passed over without a word, or its password is shown."""
    monkeypatch.setenv("HTTP_PROXY", named)
    with pytest.raises(LoadError, match="the proxy ") as caught:
        carry_out(plan_for("http://gateway.test", 1))
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


def test_an_entry_of_netrc_replaces_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the password that ~/.netrc has for the gateway's host is sent in place of the token that was given."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    monkeypatch.setenv(TOKEN, "s3cret\n")
    with serving(good) as (url, told):
        carry_out(plan_for(url, 1))
        with GatewaySession() as session:
            session.post(f"{url}/x", headers=credentials(), timeout=5)
            session.post(f"{url}/x", timeout=5)
    heads = [head for _, head, _ in told.requests]
    assert ["authorization: bearer s3cret\r\n" in head for head in heads] == [True, True, False]
    assert "authorization" not in heads[2]


def test_a_cookie_ties_no_control_call_to_a_replica() -> None:
    """Red when a gateway's affinity cookie comes back and every control call reaches the same replica."""
    server = serving(lambda sock, _: sock.sendall(fixed(b"", more="set-cookie: replica=1\r\n")))
    with server as (url, told), GatewaySession() as session:
        for _ in range(2):
            session.get(f"{url}/x", timeout=5)
    assert all("cookie" not in head for _, head, _ in told.requests)


def test_a_server_that_repeats_a_token_does_not_put_it_into_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when an answer that quotes the request's credentials brings them into files and messages."""
    monkeypatch.setenv(TOKEN, "s3cret")
    said = fixed(b"no: Bearer s3cret, k3y", status="401 Unauthorized")
    with serving(lambda sock, _: sock.sendall(said)) as (url, _):
        rows = carry_out(plan_for(url, 1, asks=(Ask("p0", {"api-key": "k3y"}),))).rows
    assert rows[0].detail == "no: [hidden], [hidden]"


@pytest.mark.parametrize("value", ["Bearer s3cret", "s3cret s3cret", "s3cret\ns3cret", "s3cret\u00e9"])
def test_a_token_that_is_none_is_one_line(value: str) -> None:
    """Red when it is sent, or shown."""
    with pytest.raises(LoadError, match="no spaces") as caught:
        credentials({TOKEN: value})
    assert "s3cret" not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_not_shown() -> None:
    """Red when a token that ends in a line break stands in the message about it."""
    with pytest.raises(ValueError, match="asks: header Authorization: its value has a line break") as caught:
        Ask("p0", {"Authorization": "Bearer s3cret\n"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path", "words"),
    [
        ("ftp://h", "/x", "url: 'ftp://h' is no http:// or https:// address"),
        ("h:8000", "/x", "is no http:// or https:// address"),
        ("http://", "/x", "is no http:// or https:// address"),
        ("http://me:s3cret@h", "/x", "url: no credentials in the address 'http://h'; put a bearer token into"),
        ("htp://me:s3cret@h", "/x", "url: 'htp://h' is no http:// or https:// address"),
        ("http://me:s3cret@h:port", "/x", "url: 'http://h:port': Port could not be cast"),
        ("http://h:99999", "/x", "url: 'http://h:99999': Port out of range"),
        ("http://h:0", "/x", "is no http:// or https:// address"),
        ("http://[::1", "/x", "url: "),
        ("http://a..b", "/x", "url: 'http://a..b': "),
        ("http://h ", "/x", "url: 'http://h' has a blank or a control character"),
        ("http://h/\r\nx: y", "/x", "has a blank or a control character"),
        ("http://h?key=s3cret", "/x", "url: 'http://h' is a base that paths are added to; a query belongs to path"),
        ("http://h/\u00e9", "/x", "has characters that no path has"),
        ("http://h", "x", "path: 'x' does not begin with a slash"),
        ("http://h", "/a b", "path: '/a b' has characters that no address has"),
        ("http://h", "/x\r\ny: z", "path: "),
        ("http://h", "/x#y", "path: '/x#y' has characters that no address has"),
    ],
)
def test_an_address_that_cannot_be_asked_is_one_line(url: str, path: str, words: str) -> None:
    """Red when it ends in a traceback or in a thousand failed rows, a part is dropped, or a password is shown."""
    with pytest.raises(ValueError) as caught:
        plan_for(url, 1, path=path)
    assert str(caught.value).startswith(words) or words in str(caught.value)
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://h", "HTTP://H:8080/", "https://h/base/", "http://[::1]:8000", "http://\u00e9.test"]
)
def test_an_address_that_can_be_asked_is_taken(url: str) -> None:
    """Red when a good address is refused."""
    assert plan_for(url, 1, path="/openai/completions?api-version=1").url == url


def test_a_text_that_is_no_unicode_is_one_line() -> None:
    """Red when half of a surrogate pair, which prompt files hold, ends in a traceback."""
    plan = plan_for("http://h", 1, bodies={"p0": completion_body("\ud83d hi", 1)})
    with pytest.raises(LoadError, match="half of a surrogate pair"):
        plan.to_json()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fixed(b"", status="307 Temporary Redirect", more="location: https://me:pw@h/v1/models?k=1\r\n"),
         "answers 307, a redirect to https://h/v1/models; name that server instead"),
        (fixed(b"", status="503 Service Unavailable"), "answers 503: it sheds load or has no server behind it"),
        (fixed(b"", status="401 Unauthorized"), "answers 401: put a bearer token that it accepts into"),
        (fixed(b'{"object":"list","data":null}'), "model 'm' is unknown; the server has none"),
        (fixed(b"<html>"), "answers no OpenAI-like model list"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "check the URL and that the server runs"),
    ],
)  # fmt: skip
def test_a_server_that_will_not_do_is_one_line(answer: bytes, words: str) -> None:
    """Red when a thousand failed rows tell what one look does, or the line shows a secret."""
    with answering(answer) as place, pytest.raises(LoadError) as caught:
        carry_out(plan_for(f"http://{place}", 1))
    assert words in str(caught.value) and "pw" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_without_tls_is_told_from_one_that_is_not_trusted() -> None:
    """Red when an https:// that should be http:// reads as a certificate that is not trusted."""
    refusal = fixed(b"", status="400 Bad Request")
    with answering(refusal) as place, pytest.raises(LoadError, match=r"no TLS: .* not one of http://") as caught:
        carry_out(plan_for(f"https://{place}", 1))
    assert "object at" not in str(caught.value)


def test_a_bundle_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a mistyped file of authorities is a traceback."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(LoadError, match=r"REQUESTS_CA_BUNDLE=/nowhere/ca\.pem: no file of certificates: No such file"):
        carry_out(plan_for("https://127.0.0.1:1", 1))
