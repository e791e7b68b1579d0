"""No token, password, key or client secret is ever shown: canaries through every way in which access can fail."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import RecorderError, Resource
from gpuassay.secrets import hide_line, learn
from tests.access.apiserver import Answer, Asked, Server, config, written
from tests.access.test_plugins import program, user
from tests.access.test_refused import b64, jwt, oidc

CANARY = "CANARY"
TOKEN, PASSWORD = "CANARY-token-42", "CANARY/pass word"
JWT = jwt(exp=1, sub="CANARY")


def _plugin(folder: Path, body: str) -> dict[str, Any]:
    told = user(program(folder, body), args=["--password=CANARY-flag", "--api-key", "CANARY-key"])
    told["exec"]["env"] = [{"name": "CLOUD_TOKEN", "value": "CANARY-variable"}]
    return told


USERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "token": lambda _: {"token": TOKEN},
    "token of two lines": lambda _: {"token": f"{TOKEN}\n{TOKEN}"},
    "token in a map": lambda _: {"token": {TOKEN: TOKEN}},
    "misplaced": lambda _: {"Token": TOKEN, "exec": TOKEN},
    "JSON Web Token": lambda _: {"token": JWT},
    "token file": lambda folder: {"tokenFile": str(written(folder, f"{TOKEN}\n", "token"))},
    "token file of two lines": lambda folder: {"tokenFile": str(written(folder, f"{TOKEN}\n{TOKEN}\n", "token"))},
    "password": lambda _: {"username": "u", "password": PASSWORD},
    "password alone": lambda _: {"password": PASSWORD},
    "key": lambda _: {"client-certificate-data": b64("x"), "client-key-data": b64("CANARY")},
    "key in clear": lambda _: {"client-key-data": "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----"},
    "oidc": lambda _: oidc(client_id="k", client_secret="CANARY-secret", refresh_token="CANARY-refresh", id_token=JWT),
    "oidc and a provider": lambda _: oidc(
        client_id="k", client_secret="CANARY-secret", refresh_token="CANARY-refresh",
        idp_issuer_url="http://me:CANARY-login@127.0.0.1:1",
    ),
    "gcp": lambda _: {"auth-provider": {"name": "gcp", "config": {"access-token": TOKEN, "expiry": "2020-01-01"}}},
    "plugin": lambda folder: _plugin(folder, f'say({{"token": "{TOKEN}"}})'),
    "plugin that fails": lambda folder: _plugin(
        folder, 'sys.exit(f"{sys.argv[1:]} {os.environ[\'CLOUD_TOKEN\']} Authorization: Bearer CANARY-bearer-token")'
    ),
    "plugin that talks": lambda folder: _plugin(folder, f'print("hello"); say({{"token": "{TOKEN}"}})'),
    "plugin of another version": lambda folder: _plugin(folder, f'say({{"token": "{TOKEN}"}}, version="{TOKEN}")'),
}  # fmt: skip


def _echo(status: int, kind: str) -> Callable[[Asked], Answer]:
    """Everything that was sent, as debugging servers show it."""

    def answer(asked: Asked) -> Answer:
        given = asked.one("authorization")
        with_password = base64.b64decode(given[6:]).decode() if given.startswith("Basic ") else ""
        return status, kind, f"<html><title>{given} {with_password} {asked.headers}</title>"

    return answer


SERVERS: dict[str, tuple[Callable[[Asked], Answer | None], dict[str, Any]]] = {
    **{f"echo {status}": (_echo(status, "text/html"), {}) for status in (200, 400, 401, 403, 404, 429, 500)},
    "refused": (lambda _: None, {"server": "https://me:CANARY-login@127.0.0.1:1"}),
    "no address": (lambda _: None, {"server": "https://me:CANARY-login@h:port"}),
    "no name": (lambda _: None, {"server": "https://nowhere.invalid"}),
    "not trusted": (lambda _: None, {"certificate-authority-data": b64(trustme.CA().cert_pem.bytes())}),
    "proxy": (lambda _: None, {"proxy-url": "http://me:CANARY-login@127.0.0.1:1", "server": "https://a.test"}),
    "socks": (lambda _: None, {"proxy-url": "socks5://me:CANARY-login@127.0.0.1:1"}),
    "no proxy": (lambda _: None, {"proxy-url": "ftp://me:CANARY-login@127.0.0.1:1"}),
}


@contextmanager
def watched(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], shown: list[str]) -> Generator[None]:
    """Collects what anybody could see: log, both outputs, the error with all that it was made from."""
    caplog.set_level(logging.DEBUG)
    try:
        yield
    except (ClusterError, RecorderError) as e:
        assert "\n" not in str(e)
        shown.append(repr(e))
        shown += traceback.format_exception(e)
    captured = capfd.readouterr()
    shown += [captured.out, captured.err, caplog.text]


SENT = ("token", "JSON Web Token", "token file", "password", "plugin")
"""Users whose credentials reach the server; the others fail before it is asked."""


@pytest.mark.parametrize(
    ("who", "where"),
    [(who, where) for who in USERS for where in (SERVERS if who in SENT else ["echo 403"])],
)
def test_no_secret_is_shown(
    tmp_path: Path, server: Server, who: str, where: str, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Red when a message, a traceback, a log or a repr holds what the kubeconfig keeps secret."""
    server.answer, cluster = SERVERS[where]
    told = config(server, USERS[who](tmp_path))
    told["clusters"][0]["cluster"] |= cluster
    path = written(tmp_path, told)
    shown: list[str] = []
    with watched(caplog, capfd, shown):
        api, _ = connect(path)
        api.close()
    with watched(caplog, capfd, shown):
        api = Api.from_kubeconfig(path)
        shown += [repr(api.connection), repr(api.connection.chosen), api.connection.doubt]
        api.connection.close()
        api.request("get", "/version", timeout=(1, 5), again=False)
        api.list("Namespace")
    assert len(shown) > 6
    for secret in (CANARY, b64(CANARY)[:6], JWT, b64(f"u:{PASSWORD}")):
        assert not [one for one in shown if secret in one]


@pytest.mark.parametrize("who", ["token", "password", "plugin", "plugin that fails", "token file of two lines"])
def test_the_recorder_shows_none_either(tmp_path: Path, server: Server, who: str) -> None:
    server.answer = _echo(403, "text/html")
    path = written(tmp_path, config(server, USERS[who](tmp_path)))
    spool = tmp_path / "spool"
    opened = live_recorder(path, spool, resources=[Resource("Pod", "/api/v1/pods")])
    with pytest.raises(RecorderError) as error, opened:
        pass
    kept = "".join(one.read_text() for one in spool.iterdir())
    for secret in (CANARY, b64(f"u:{PASSWORD}")):
        assert secret not in str(error.value) and secret not in kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [hidden]"),
        (f"got {JWT}!", "got [hidden]!"),
        ("http://me:pw@proxy:3128 refuses", "http://[hidden]@proxy:3128 refuses"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAB\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[hidden]-----END RSA PRIVATE KEY-----",
        ),
        ("run: cloud login --profile dev", "run: cloud login --profile dev"),
        ("a basic configuration", "a basic configuration"),
        ("known-1 and known-12", "[hidden] and [hidden]"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_hidden(text: str, shown: str) -> None:
    learn("known-1", "known-12", "ab", None, "")
    assert hide_line(text) == shown
