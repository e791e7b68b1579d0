"""OIDC users: the id-token counts while it lasts, is renewed as kubectl renews it, and what is new is written back."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from gpuassay.cluster.existing import connect
from tests.access.apiserver import Answer, Asked, Server, config, serving, written
from tests.access.test_refused import b64, jwt, oidc, refused

NEW = jwt(exp=time.time() + 3600, sub="new")


@pytest.fixture
def provider() -> Generator[Server]:
    """An identity provider that gives `NEW` for the refresh-token `S3CRET-refresh`."""
    with serving() as found:

        def answer(asked: Asked) -> Answer:
            if asked.path.endswith("openid-configuration"):
                return 200, "application/json", json.dumps({"token_endpoint": f"{found.url}/token"})
            form = parse_qs(asked.body)
            if form.get("refresh_token") != ["S3CRET-refresh"]:
                said = {"error": "invalid_grant", "error_description": f"{form['refresh_token'][0]} has ended"}
                return 400, "application/json", json.dumps(said)
            return 200, "application/json", json.dumps({"id_token": NEW, "refresh_token": "S3CRET-rotated"})

        found.answer = answer
        yield found


def user(provider: Server, **more: str) -> dict[str, Any]:
    told = {
        "idp_issuer_url": f"{provider.url}/", "idp_certificate_authority_data": b64(provider.ca),
        "client_id": "k", "client_secret": "S3CRET", "refresh_token": "S3CRET-refresh",
    }  # fmt: skip
    return oidc(**told | more)


def test_a_good_id_token_is_sent_as_it_is(tmp_path: Path, server: Server) -> None:
    for good in (jwt(exp=time.time() + 60), jwt(sub="never ends")):
        server.accepts.add(good)
        connect(written(tmp_path, config(server, oidc(id_token=good))))[0].close()


@pytest.mark.parametrize("before", ["", jwt(exp=1)])
@pytest.mark.parametrize("style", ["yaml", "json"])
def test_one_that_has_ended_is_renewed_and_written_back(
    tmp_path: Path, server: Server, provider: Server, before: str, style: str
) -> None:
    """Red when the user is logged out because a rotated refresh-token is lost with our process."""
    server.accepts = {NEW}
    told = config(server, user(provider, id_token=before), insecure_skip_tls_verify=False)
    path = written(tmp_path, told if style == "json" else yaml.safe_dump(told))
    path.chmod(0o600)
    connect(path)[0].close()
    kept = yaml.safe_load(path.read_text())["users"][0]["user"]["auth-provider"]["config"]
    assert (kept["id-token"], kept["refresh-token"]) == (NEW, "S3CRET-rotated")
    assert path.stat().st_mode & 0o777 == 0o600 and [one.name for one in tmp_path.iterdir()] == ["config"]
    told["users"][0]["user"]["auth-provider"]["config"] = kept
    assert yaml.safe_load(path.read_text()) == told
    asked = len(provider.asked)
    connect(path)[0].close()
    assert len(provider.asked) == asked


def test_without_a_client_secret_the_client_names_itself(tmp_path: Path, server: Server, provider: Server) -> None:
    server.accepts = {NEW}
    connect(written(tmp_path, config(server, user(provider, client_secret=""))))[0].close()
    assert parse_qs(provider.asked[-1].body)["client_id"] == ["k"]
    assert provider.asked[-1].one("authorization") == ""


def test_a_provider_that_refuses_is_one_line_without_secrets(tmp_path: Path, server: Server, provider: Server) -> None:
    said = refused(written(tmp_path, config(server, user(provider, refresh_token="S3CRET-old"))))
    assert "log in again; the provider answers 400 invalid_grant [hidden] has ended" in said and "S3CRET" not in said
    provider.answer = lambda _: (200, "text/html", "<html>S3CRET</html>")
    said = refused(written(tmp_path, config(server, user(provider))))
    assert "the provider's answer is no JSON" in said and "S3CRET" not in said
    provider.answer = lambda _: (200, "application/json", "{}")
    assert "names no token_endpoint" in refused(written(tmp_path, config(server, user(provider))))
    other = user(provider, idp_certificate_authority_data=b64(server.ca))
    assert "certificate verify failed" in refused(written(tmp_path, config(server, other)))
    broken = user(provider, idp_certificate_authority_data="%%")
    assert "is no base64 of PEM" in refused(written(tmp_path, config(server, broken)))


def test_a_token_that_another_has_renewed_is_taken(tmp_path: Path, server: Server) -> None:
    """Red when the recorder and the client log each other out by renewing one refresh-token twice."""
    first, second = jwt(exp=time.time() + 60), jwt(exp=time.time() + 90)
    server.accepts = {first}
    api, _ = connect(written(tmp_path, config(server, oidc(id_token=first))))
    server.accepts = {second}
    written(tmp_path, config(server, oidc(id_token=second)))
    assert api.list("Namespace") == []
    api.close()
