"""One look at the server before the load: a wrong URL or model is one sentence, not a thousand failed rows."""

from __future__ import annotations

import aiohttp
import msgspec

from gpuassay.load.addresses import without_secrets
from gpuassay.load.client import AGENT
from gpuassay.load.credentials import KEYS, TOKEN, credentials
from gpuassay.load.errors import LoadError
from gpuassay.load.plan import Plan
from gpuassay.load.proxies import Proxy, proxy_for
from gpuassay.load.tls import client_context

TIMEOUT = 10.0
_SKIP = "set preflight to false if it serves no model list"


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None


async def preflight(plan: Plan) -> None:
    """Raises LoadError if nothing answers, the server has no OpenAI-like model list, or the model is not in it."""
    url = f"{plan.url.rstrip('/')}/v1/models"
    timeout = min(TIMEOUT, plan.timeout)
    proxy = proxy_for(url)
    known = _proxy_headers(proxy)
    try:
        async with (
            # its own notions of proxies and of ~/.netrc stay out of it
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout), trust_env=False) as session,
            session.get(
                url, allow_redirects=False, ssl=client_context(verify=plan.verify_tls), headers=_headers(plan, known),
                proxy=None if proxy is None else str(proxy), proxy_headers=known or None,
            ) as response,
        ):  # fmt: skip
            status, body = response.status, await response.read()
            location = response.headers.get("location", "")
    except TimeoutError:
        raise LoadError(f"{url}: no answer within {timeout:g} s; check the URL and that the server is ready") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise LoadError(
            f"{url}: TLS is not trusted: {_one_line(error.certificate_error)}; "
            "name the authority in SSL_CERT_FILE, or set verify_tls to false"
        ) from None
    except aiohttp.ClientSSLError as error:
        raise LoadError(f"{url}: no TLS: {_one_line(error)}; check that the address is not one of http://") from None
    except (aiohttp.ClientError, OSError) as error:
        raise LoadError(f"{url}: {_one_line(error)}; check the URL and that the server runs") from None
    _check_status(plan, url, status, location)
    try:
        served = [model.id for model in msgspec.json.decode(body, type=_Models).data or []]
    except (msgspec.DecodeError, ValueError):
        raise LoadError(f"{url} answers no OpenAI-like model list; {_SKIP}") from None
    if plan.model not in served:
        raise LoadError(f"{url}: model {plan.model!r} is unknown; the server has {', '.join(served) or 'none'}")


def _check_status(plan: Plan, url: str, status: int, location: str) -> None:
    if status in (401, 403):
        raise LoadError(f"{url} answers {status}: put a bearer token that it accepts into {TOKEN}")
    if status // 100 == 3 and location:
        raise LoadError(f"{url} answers {status}, a redirect to {without_secrets(location)}; name that server instead")
    if status == 404 and plan.url.rstrip("/").endswith("/v1"):
        raise LoadError(f"{url} answers 404: name the server without /v1, which is added")
    if status in (429, 502, 503, 504):
        raise LoadError(f"{url} answers {status}: it sheds load or has no server behind it that is ready")
    if status != 200:
        raise LoadError(f"{url} answers {status}: not an OpenAI-like server, or not ready; {_SKIP}")


def _headers(plan: Plan, known: dict[str, str]) -> dict[str, str]:
    """Who asks: as the load's first request says, which counts for more, or the environment."""
    own = {name.lower(): value for name, value in plan.asks[0].headers.items() if name.lower() in KEYS}
    # in a tunnel the proxy does not see them
    return {"user-agent": AGENT, **credentials(), **own, **({} if plan.url.lower().startswith("https:") else known)}


def _proxy_headers(proxy: Proxy | None) -> dict[str, str]:
    return {"proxy-authorization": proxy.authorization} if proxy is not None and proxy.authorization else {}


def _one_line(error: Exception) -> str:
    # aiohttp's own words hold addresses of objects
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return " ".join(str(reason).split()) or type(reason).__name__
