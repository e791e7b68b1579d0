"""Kubeconfigs that cannot be used: one line each, from the API client and the recorder alike."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect
from tests.access.apiserver import GOOD, Server, config, serving, written


def refused(kubeconfig: Path | str, context: str | None = None) -> str:
    with pytest.raises(ClusterError) as error:
        connect(kubeconfig, context)
    message = str(error.value)
    assert "\n" not in message and GOOD not in message
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return message


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def jwt(**claims: object) -> str:
    def part(told: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.c2ln"


def oidc(**told: str) -> dict[str, Any]:
    return {"auth-provider": {"name": "oidc", "config": {k.replace("_", "-"): v for k, v in told.items()}}}


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "has no contexts: is it a kubeconfig?"),
    "only comments": ("# nothing\n", "has no contexts: is it a kubeconfig?"),
    "html": ("<html><body>log in</body></html>", "has no contexts: is it a kubeconfig?"),
    "a Deployment": ("kind: Deployment\napiVersion: apps/v1\n", "Its kind is 'Deployment', not Config"),
    "another version": ("kind: Config\napiVersion: v2\ncontexts: []\n", "has apiVersion 'v2'; only v1"),
    "tab": ("contexts:\n\t- name: a", "line 2: no YAML: found character '\\t' that cannot start any token"),
    "cut off": ('{"contexts": [{"name": "a"', "cannot be read: line 1: no YAML"),
    "null byte": ("contexts: \0", "cannot be read: no YAML"),
    "latin-1": ("# gr\xfc\xdfe\ncontexts: []\n".encode("latin-1"), "byte 4 is no UTF-8"),
    "contexts is a map": ("contexts: {a: b}", "contexts must be a list of 'name' and 'context', but is a map"),
    "clusters is text": ("clusters: a", "clusters must be a list of 'name' and 'cluster', but is a text"),
    "null in contexts": ("contexts: [null]", "must be a map of 'name' and 'context', but is nothing"),
    "text in users": ("users: [u]", "entry 1 of users must be a map of 'name' and 'user', but is a text"),
    "no name": ("contexts: [{context: {}}]", "entry 1 of contexts has no name"),
    "a list as name": ("contexts: [{name: [a]}]", "entry 1 of contexts has no name"),
    "user is a text": ("users: [{name: u, user: t}]", "entry 1 of users ('u'): 'user' must be a map, but is a text"),
    "doubled key": ("contexts: []\nusers: []\ncontexts: []", "line 3: 'contexts' stands there again, first in line 1"),
    "doubled key of JSON": ('{"users": [], "users": []}', "'users' stands twice in one object; remove one"),
    "two documents": ("contexts: []\n---\ncontexts: []", "it holds 2 YAML documents, a kubeconfig is one"),
    "unknown alias": ("contexts: *secret-alias", "line 1: no YAML: found undefined alias"),
    "python tag": ("contexts: !!python/object/apply:os.system [ls]", "cannot be read: line 1: no YAML"),
    "deep": ("[" * 3000, "cannot be read"),
    "half a character": ('{"users": [{"name": "\\ud83d"}]}', "an escape (\\u..) in it is half a character"),
    "holds itself": ("x: &x [*x]\ncontexts: []", "no YAML: found unconstructable recursive node"),
    "a Secret": ("kind: Secret\napiVersion: v1\ndata: {value: S3CRET}", "Its kind is 'Secret', not Config"),
    "a list as key": ("? [a]\n: b", "no YAML: found unhashable key"),
    "current-context is a list": ("current-context: [a]", "current-context must be a name"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_no_kubeconfig_is_one_line(tmp_path: Path, case: str) -> None:
    """Red when a file of another shape is a traceback, or a sentence about nothing."""
    text, words = TEXTS[case]
    message = refused(written(tmp_path, text))
    assert words in message and str(tmp_path / "config") in message
    assert "secret-alias" not in message


def _two(plural: str) -> Callable[[dict[str, Any]], None]:
    return lambda told: told[plural].append(told[plural][0])


def _set(plural: str, single: str, **values: object) -> Callable[[dict[str, Any]], None]:
    return lambda told: told[plural][0][single].update({k.replace("_", "-"): v for k, v in values.items()})


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "two clusters": (_two("clusters"), "has two clusters of the name 'c', so which one counts cannot be told"),
    "two users": (_two("users"), "has two users of the name 'u'"),
    "two contexts": (_two("contexts"), "has two contexts of the name 'lab'"),
    "no cluster": (lambda told: told["contexts"][0]["context"].pop("cluster"), "cannot be used: it names no cluster"),
    "missing cluster": (_set("contexts", "context", cluster="x"), "there is no cluster 'x'; clusters are c"),
    "missing user": (_set("contexts", "context", user="x"), "there is no user 'x'; users are u"),
    "no users": (lambda told: told.update(users=None), "there is no user 'u'; users are none"),
    "cluster is a map": (_set("contexts", "context", cluster={}), "cluster: a text is needed, not a map"),
    "no server": (_set("clusters", "cluster", server=""), "server is not given; write https://HOST:PORT"),
    "server ftp": (_set("clusters", "cluster", server="ftp://h"), "has the scheme 'ftp'"),
    "server list": (_set("clusters", "cluster", server=["a"]), "server: a text is needed, not a list"),
    "server port": (_set("clusters", "cluster", server="https://h:port"), "server is no address"),
    "bare IPv6": (_set("clusters", "cluster", server="https://fd00::1:6443"), "an IPv6 address in brackets"),
    "server blank": (_set("clusters", "cluster", server="https://a b:1"), "server is no address"),
    "server query": (_set("clusters", "cluster", server="https://h/?token=S3CRET"), "holds a query or fragment"),
    "insecure maybe": (_set("clusters", "cluster", insecure_skip_tls_verify="maybe"), "must be true or false"),
    "insecure with authority": (_set("clusters", "cluster", insecure_skip_tls_verify=True), "only one may be given"),
    "proxy scheme": (_set("clusters", "cluster", proxy_url="h:3128"), "proxy-url of cluster 'c'"),
    "proxy socks4": (_set("clusters", "cluster", proxy_url="socks4://h"), "is no proxy that can be used"),
    "proxy port": (_set("clusters", "cluster", proxy_url="http://u:S3CRET@h:x"), "is no proxy that can be used"),
    "authority no base64": (_set("clusters", "cluster", certificate_authority_data="%%%"), "is no base64"),
    "authority of something": (
        _set("clusters", "cluster", certificate_authority_data=b64("hello")), "holds no certificate in PEM"
    ),
    "authority in clear": (
        _set("clusters", "cluster", certificate_authority_data="-----BEGIN CERTIFICATE-----"), "is PEM as it stands"
    ),
    "authority redacted": (
        _set("clusters", "cluster", certificate_authority_data="DATA+OMITTED"), "kubectl config view --raw"
    ),
    "authority damaged": (
        _set("clusters", "cluster",
             certificate_authority_data=b64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")),
        "holds a certificate that is damaged",
    ),
    "authority binary": (_set("clusters", "cluster", certificate_authority_data=b64(b"\xff\xfe")), "is no PEM"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_context_that_leads_nowhere_is_one_line(tmp_path: Path, server: Server, case: str) -> None:
    """Red when a part that is missing, doubled or broken is a traceback, or taken for another."""
    change, words = CHANGES[case]
    told = config(server)
    change(told)
    message = refused(written(tmp_path, told))
    assert words in message and "S3CRET" not in message
    assert not server.asked


USERS: dict[str, tuple[dict[str, Any], str]] = {
    "token of two lines": ({"token": "S3CRET-a\nS3CRET-b"}, "holds characters that no token has"),
    "token with Bearer": ({"token": "Bearer S3CRET"}, "begins with the word 'Bearer'"),
    "token redacted": ({"token": "REDACTED"}, "token of user 'u'"),
    "token is a map": ({"token": {"S3CRET": 1}}, "token: a text is needed, not a map"),
    "token and password": ({"token": GOOD, "username": "u", "password": "S3CRET"}, "only one may be given"),
    "username alone": ({"username": "u"}, "has a username without password"),
    "password alone": ({"password": "S3CRET"}, "has a password without username"),
    "password redacted": ({"username": "u", "password": "REDACTED"}, "is redacted"),
    "certificate redacted": (
        {"client-certificate-data": "REDACTED", "client-key-data": "REDACTED"}, "client-certificate-data of user 'u'"
    ),
    "certificate omitted": (
        {"client-certificate-data": "DATA+OMITTED", "client-key-data": "DATA+OMITTED"}, "is redacted"
    ),
    "key alone": ({"client-key-data": b64("-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----")},
                  "has a client-key without client-certificate"),
    "binary token": ({"tokenFile": "\0"}, "is no file name, it holds a null byte"),
    "groups alone": ({"token": GOOD, "as-groups": ["g"]}, "without as"),
    "header injection": ({"token": GOOD, "as": "a\r\nX: y"}, "characters that a header cannot carry"),
    "oidc expired": (oidc(id_token=jwt(exp=1)), "ended at 1970-01-01 00:00 UTC, and there is no refresh-token"),
    "oidc garbage": (oidc(id_token="S3CRET-garbage"), "is no JSON Web Token: log in again"),
    "oidc nothing": (oidc(client_id="k"), "is not there, and there is no refresh-token: log in again"),
    "oidc no issuer": (
        oidc(client_id="k", client_secret="S3CRET", refresh_token="S3CRET-r"), "idp-issuer-url not given"
    ),
    "oidc unreachable": (
        oidc(client_id="k", client_secret="S3CRET", refresh_token="S3CRET-r", idp_issuer_url="http://127.0.0.1:1"),
        "connection refused by 127.0.0.1:1",
    ),
    "gcp": ({"auth-provider": {"name": "gcp", "config": {"access-token": "S3CRET", "expiry": "2020-01-01T00:00:00Z"}}},
            "auth-provider 'gcp' of user 'u'"),
    "azure": ({"auth-provider": {"name": "azure"}}, "kubelogin convert-kubeconfig"),
    "provider without name": ({"auth-provider": {}}, "has no name"),
    "exec and provider": (
        {"exec": {"command": "a"}, "auth-provider": {"name": "oidc"}}, "has exec and auth-provider"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", USERS)
def test_credentials_that_cannot_be_used_are_one_line(tmp_path: Path, server: Server, case: str) -> None:
    """Red when broken credentials are a traceback, are sent as nobody's, or stand in the message."""
    user, words = USERS[case]
    message = refused(written(tmp_path, config(server, user)))
    assert words in message and "S3CRET" not in message
    assert not server.asked


NOBODY: dict[str, tuple[dict[str, Any] | None, str]] = {
    "token empty": ({"token": ""}, "(its token is empty)"),
    "empty": ({}, "(it is empty)"),
    "misspelt": ({"tokne": "S3CRET"}, "(it has tokne)"),
}


@pytest.mark.parametrize("case", NOBODY)
def test_a_user_without_credentials_is_told_where_the_server_refuses(tmp_path: Path, server: Server, case: str) -> None:
    """Red when `system:anonymous` is all that is said of a user who gives nothing."""
    user, words = NOBODY[case]
    message = refused(written(tmp_path, config(server, user)))
    assert "refuses what every suite needs: 403" in message and words in message and "S3CRET" not in message


def test_a_context_without_user_is_told(tmp_path: Path, server: Server) -> None:
    told = config(server)
    del told["contexts"][0]["context"]["user"]
    assert "context 'lab' names no user" in refused(written(tmp_path, told))


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path, server: Server) -> None:
    """Red when a folder, a pipe or a missing file is a traceback."""
    assert refused(tmp_path / "none").endswith("none does not exist")
    assert "it is a folder" in refused(tmp_path)
    assert "it is a pipe or a device" in refused("/dev/null")
    assert "none of these files exists" in refused(f"{tmp_path}/a:{tmp_path}/b")
    for field in ("certificate-authority", "client-certificate", "tokenFile"):
        told = config(server, {} if field == "certificate-authority" else {field: "absent"})
        if field == "certificate-authority":
            del told["clusters"][0]["cluster"]["certificate-authority-data"]
            told["clusters"][0]["cluster"][field] = "absent"
        assert f"{tmp_path}/absent cannot be read: No such file" in refused(written(tmp_path, told))
    (tmp_path / "token").write_text("\n")
    assert "token is empty" in refused(written(tmp_path, config(server, {"tokenFile": "token"})))
    (tmp_path / "token").write_text("S3CRET-1\nS3CRET-2\n")
    message = refused(written(tmp_path, config(server, {"tokenFile": "token"})))
    assert "holds characters that no token has" in message and "S3CRET" not in message


def test_a_key_of_another_certificate_is_one_line(tmp_path: Path, server: Server, clients: trustme.CA) -> None:
    one, other = (clients.issue_cert("u.test") for _ in range(2))
    chain = b64(b"".join(part.bytes() for part in one.cert_chain_pems))
    user = {"client-certificate-data": chain, "client-key-data": b64(other.private_key_pem.bytes())}
    assert "client-key is not the key of client-certificate" in refused(written(tmp_path, config(server, user)))
    user["client-key-data"] = b64("-----BEGIN ENCRYPTED PRIVATE KEY-----\nS3CRET\n-----END ENCRYPTED PRIVATE KEY-----")
    assert "is encrypted" in refused(written(tmp_path, config(server, user)))
    user["client-key-data"] = b64("-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----")
    assert "is damaged" in refused(written(tmp_path, config(server, user)))
    del user["client-key-data"]
    assert "has a client-certificate without client-key" in refused(written(tmp_path, config(server, user)))


ANSWERS: dict[str, tuple[tuple[int, str, str], str]] = {
    "login page": ((200, "text/html", "<!DOCTYPE html><title>Sign in - S</title><p>x"), "it says: Sign in - S"),
    "json of another": ((200, "application/json", '{"hello": 1}'), "GET /version is not answered by an API server"),
    "json list": ((200, "application/json", "[]"), "GET /version is not answered by an API server"),
    "redirect": ((302, "text/html", ""), "it sends on to https://sso.example/login instead of answering"),
    "401": ((401, "application/json", '{"kind":"Status","message":"Unauthorized"}'), "accept its credentials (401)"),
    "401 page": ((401, "text/html", "<h1>401</h1>"), "does not accept its credentials (401)"),
    "403 page": ((403, "text/html", "<html><title>Blocked</title>\n\n</html>"), "403 Unknown: Blocked"),
    "404": ((404, "text/plain", "404 page not found"), "is the path of server complete?"),
    "429": ((429, "application/json", '{"reason":"TooManyRequests","message":"too many"}'), "cannot answer now (429"),
    "500": ((500, "text/plain", "boom"), "cannot answer now (500 Unknown: boom)"),
    "502 page": ((502, "text/html", "<html><head><title>502 Bad Gateway</title>"), "502 Bad Gateway): try again"),
    "503": ((503, "text/plain", ""), "cannot answer now (503 Unknown: no explanation): try again"),
    "Go says TLS": ((400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n"), "begin with https://"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_stands_in_front_of_an_api_server_is_one_line(tmp_path: Path, server: Server, case: str) -> None:
    """Red when a login page, a gateway or an overloaded server is a traceback, or credentials go on to others."""
    answer, words = ANSWERS[case]
    server.answer = lambda _: answer
    message = refused(written(tmp_path, config(server)))
    assert words in message and "S3CRET" not in message and len(message) < 500
    assert len(server.asked) == 1


def test_a_token_that_is_refused_is_told_with_what_is_wrong(tmp_path: Path, server: Server) -> None:
    assert "(401): they are expired, or of another" in refused(written(tmp_path, config(server, {"token": "unknown"})))
    ended = jwt(exp=1)
    message = refused(written(tmp_path, config(server, {"token": ended})))
    assert "(401): the token ended at 1970-01-01 00:00 UTC" in message and ended not in message


def test_trust_is_told_in_openssls_words_and_with_advice(tmp_path: Path, server: Server) -> None:
    """Red when a wrong authority, name or scheme is a line that only OpenSSL understands."""
    other = config(server)
    other["clusters"][0]["cluster"]["certificate-authority-data"] = b64(trustme.CA().cert_pem.bytes())
    assert "certificate verify failed: " in (said := refused(written(tmp_path, other)))
    assert "is that of another cluster" in said
    with serving("other.test") as named:
        said = refused(written(tmp_path, config(named)))
        assert "IP address mismatch" in said and "set tls-server-name" in said
        said = refused(written(tmp_path, config(named, tls_server_name="wrong.test")))
        assert "Hostname mismatch" in said
    said = refused(written(tmp_path, config(server, server=server.url.replace("https", "http"))))
    assert "its server must begin with https://" in said
    with serving(plain=True) as plain:
        said = refused(written(tmp_path, config(plain, server=plain.url.replace("http", "https"))))
        assert "its server must begin with http://" in said


def test_certificates_that_have_ended_or_are_not_known(tmp_path: Path, server: Server, clients: trustme.CA) -> None:
    """Red when an ended certificate of the server or of ours is a puzzle."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    authority = trustme.CA()
    with serving(authority=authority, certificate=authority.issue_cert("127.0.0.1", not_after=past)) as ended:
        said = refused(written(tmp_path, config(ended)))
        assert "certificate verify failed: certificate has expired; renew the server's certificate" in said
    for signer in (trustme.CA(), clients):
        leaf = signer.issue_cert("u.test", not_after=past if signer is clients else None)
        chain = b64(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        user = {"client-certificate-data": chain, "client-key-data": b64(leaf.private_key_pem.bytes())}
        said = refused(written(tmp_path, config(server, user)))
        # the server's alert may be lost when it closes at once
        assert "reached: it refuses the client certificate (" in said or "it may refuse the client certificate" in said


def test_an_ended_client_certificate_that_the_server_answers_with_401(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("u.test", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    chain = b64(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    user = {"client-certificate-data": chain, "client-key-data": b64(leaf.private_key_pem.bytes())}
    with serving() as lenient:
        lenient.answer = lambda _: (401, "application/json", '{"kind": "Status", "message": "Unauthorized"}')
        said = refused(written(tmp_path, config(lenient, user)))
    assert "(401): the client certificate ended at 2020-01-01 00:00 UTC" in said


def test_a_name_that_nobody_knows_and_a_port_that_nobody_serves(tmp_path: Path, server: Server) -> None:
    assert "connection refused by 127.0.0.1:1" in refused(
        written(tmp_path, config(server, server="https://127.0.0.1:1"))
    )
    said = refused(written(tmp_path, config(server, server="https://nowhere.invalid:6443")))
    assert "the name 'nowhere.invalid' cannot be resolved" in said


def test_a_server_that_hangs_is_told_after_a_while(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when a server that answers nothing holds the run for minutes."""
    monkeypatch.setattr("gpuassay.cluster.existing.TRIED", (0.5, 0.2))

    def hang(_: object) -> None:
        server.release.wait(30)

    server.answer = hang
    said = refused(written(tmp_path, config(server)))
    assert "it took the connection and gave no answer within 0.2 s" in said
    server.release.set()
