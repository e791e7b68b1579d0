"""One look at the server before the load: a wrong URL or model is one sentence, not a thousand failed rows."""

from __future__ import annotations

import aiohttp
import msgspec

from gpuassay.load.credentials import TOKEN, credentials
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Plan

TIMEOUT = 10.0
_SKIP = "set preflight to false if it serves no model list"


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


async def preflight(plan: Plan) -> None:
    """Raises LoadError if nothing answers, the server has no OpenAI-like model list, or the model is not in it."""
    url = f"{plan.url.rstrip('/')}/v1/models"
    timeout = min(TIMEOUT, plan.timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(url, allow_redirects=False, ssl=plan.verify_tls, headers=credentials()) as response,
        ):
            status, body = response.status, await response.read()
    except TimeoutError:
        raise LoadError(f"{url}: no answer within {timeout:g} s; check the URL and that the server is ready") from None
    except aiohttp.ClientSSLError as error:
        raise LoadError(
            f"{url}: TLS is not trusted: {error}; name the authority in SSL_CERT_FILE, or set verify_tls to false"
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        raise LoadError(f"{url}: {error}; check the URL and that the server runs") from None
    if status in (401, 403):
        raise LoadError(f"{url} answers {status}: put a bearer token that it accepts into {TOKEN}")
    if status != 200:
        raise LoadError(f"{url} answers {status}: not an OpenAI-like server, or not ready; {_SKIP}")
    try:
        served = [model.id for model in msgspec.json.decode(body, type=_Models).data]
    except (msgspec.DecodeError, ValueError):
        raise LoadError(f"{url} answers no OpenAI-like model list; {_SKIP}") from None
    if plan.model not in served:
        raise LoadError(f"{url}: model {plan.model!r} is unknown; the server has {', '.join(served) or 'none'}")
