"""One look at somebody's gateway before anything is judged: what is wrong with it is one line, not many failures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import requests

from gpuassay.cluster.errors import ClusterError
from gpuassay.load.addresses import without_secrets
from gpuassay.load.answer import BadAnswer, Reading
from gpuassay.load.credentials import TOKEN
from gpuassay.load.errors import LoadError
from gpuassay.load.rows import Row
from gpuassay.load.session import GatewaySession
from gpuassay.systems.llmd.existing.dialect import AUTO, CHAT, COMPLETIONS, DIALECTS, RESPONSES, Dialect, named
from gpuassay.systems.llmd.existing.gateway import Place

SECONDS = 10.0
LONGEST = 65_536
"""Bytes of an answer of two tokens that are read at most."""

_WORDS = {
    "error-event": "the stream holds an error:",
    "malformed-event": "the stream has no OpenAI-like event:",
    "empty": "the stream has no OpenAI-like event:",
    "truncated": "the stream ends without [DONE], something cuts it:",
    "unfinished": "the server breaks the answer off:",
}
"""What the classes of failures (docs/load.md) mean here."""

FEW = {COMPLETIONS.name: 2, CHAT.name: 2, RESPONSES.name: 16}
"""Tokens that are asked for: OpenAI's own servers take no fewer than 16 by /v1/responses."""

_NO_PATH = (404, 405, 501)
"""What a gateway answers that does not serve a path."""

_NO_LIST = _NO_PATH
"""A gateway need not serve the model list: then the first completion tells whether it knows the model."""


def check_gateway(place: Place, api: str = AUTO) -> Dialect:
    """Ask for the model list and for two streamed tokens of each model; returns by what path they came.

    Args:
        place: the gateway.
        api: the path to take (`gpuassay.systems.llmd.existing.dialect.NAMES`); `auto`: the first that it serves.

    Raises:
        ClusterError: nothing answers, TLS is not trusted, credentials are refused, the server is not OpenAI-like, does
            not know the model, or does not stream; one line says which.
    """
    url = f"{place.url}/v1/models"
    status, _, body = _asked(place, "GET", url)
    if status not in _NO_LIST:
        _refused(url, status, body)
        served = _models(url, body)
        for model in (place.model, *place.others):
            if model not in served:
                known = ", ".join(served) or "none"
                raise ClusterError(f"{url}: model {model!r} is unknown; the gateway has {known} (--gateway-model)")
    ways = DIALECTS if api == AUTO else (named(api),)
    found = next(way for way in ways if _streams(place, place.model, way, last=way is ways[-1]))
    for model in place.others:
        _streams(place, model, found, last=True)
    return found


def _streams(place: Place, model: str, way: Dialect, *, last: bool) -> bool:
    """Ask for two tokens; False where the gateway does not serve that path and another may be tried."""
    url = place.url + way.path
    status, kind, body = _asked(place, "POST", url, way.body(model, "gpuassay", FEW[way.name], stream=True))
    if status == 404 and re.search(rf"(?<![\w/-]){re.escape(model)}(?![\w/-])", body):
        raise ClusterError(f"{url}: model {model!r} is unknown: {_short(body)} (--gateway-model)")
    if status in _NO_PATH and not last:
        return False
    _refused(url, status, body)
    if not kind.startswith("text/event-stream"):
        raise ClusterError(f"{url}: a stream was asked for, {kind or 'something without content-type'} came: not SSE")
    _require_stream(url, kind, body)
    return True


def _asked(place: Place, method: str, url: str, body: Mapping[str, Any] | None = None) -> tuple[int, str, str]:
    """Status, content type and the beginning of the answer."""
    try:
        with (
            GatewaySession() as session,
            session.request(
                method, url, json=body, headers=dict(place.headers), timeout=SECONDS, verify=place.verify_tls,
                cert=place.certificate or None,
                stream=True, allow_redirects=False,
            ) as answer,
        ):  # fmt: skip
            if answer.is_redirect:
                there = without_secrets(answer.headers["location"])
                raise ClusterError(
                    f"{url} answers {answer.status_code}, a redirect to {there}; name that one (--gateway-url)"
                )
            text = b""
            for chunk in answer.iter_content(4096):
                text += chunk
                if len(text) > LONGEST:
                    break
            return answer.status_code, answer.headers.get("content-type", "").lower(), text.decode(errors="replace")
    except LoadError as error:  # of the proxy that the environment names
        raise ClusterError(str(error)) from None
    except requests.exceptions.SSLError as error:
        raise ClusterError(
            f"{url}: TLS is not trusted: {_root(error)}; name the authority in REQUESTS_CA_BUNDLE, "
            "or add --gateway-insecure"
        ) from None
    except requests.Timeout:
        raise ClusterError(f"{url}: no answer within {SECONDS:g} s; check --gateway-url and that it is ready") from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
        raise ClusterError(f"{url}: the answer broke off: {_root(error)}") from None
    except requests.RequestException as error:
        raise ClusterError(f"{url}: {_root(error)}; check --gateway-url and that the gateway runs") from None


def _refused(url: str, status: int, body: str) -> None:
    if status in (401, 403):
        raise ClusterError(f"{url} answers {status}: put a bearer token that it accepts into {TOKEN}")
    if status in (429, 503):
        raise ClusterError(f"{url} answers {status}: it sheds load or has no ready endpoint; {_short(body)}")
    if status != 200:
        raise ClusterError(f"{url} answers {status}: not an OpenAI-like gateway, or not ready; {_short(body)}")


def _models(url: str, body: str) -> list[str]:
    try:
        return [str(one["id"]) for one in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        raise ClusterError(f"{url} answers no OpenAI-like model list: {_short(body)}") from None


def _require_stream(url: str, kind: str, body: str) -> None:
    """As the load generator will read it."""
    reading = Reading(Row(index=0, label="", warm_up=False, request_id=""), streamed=True, keep=())
    try:
        reading.on_head(200, {"content-type": kind}, 0)
        reading.on_body(body.encode(), 0)
        reading.on_end(0)
    except BadAnswer as bad:
        # two tokens may be ones without text
        if bad.error != "empty" or not any(mark in body for mark in ('"choices"', '"response.')):
            no_json = bad.detail.startswith("not JSON")
            said = "an event of the stream is" if no_json else _WORDS.get(bad.error, "the stream will not do:")
            raise ClusterError(f"{url}: {said} {bad.detail}") from None


def _short(text: str) -> str:
    return " ".join(text.split())[:200] or "an empty body"


def _root(error: BaseException) -> str:
    """The innermost reason of an error, as one line without addresses of objects."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or reason.__cause__ or (reason.args[0] if reason.args else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    said = " ".join(str(reason).split())
    return said.partition(">: ")[2] or said
