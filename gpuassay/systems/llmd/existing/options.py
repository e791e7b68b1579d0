"""Options that name somebody's inference gateway, and what is wrong with them before anything is asked of it."""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from gpuassay.arguments import path, text
from gpuassay.load.addresses import without_secrets
from gpuassay.load.credentials import TOKEN, read_headers
from gpuassay.load.errors import LoadError
from gpuassay.load.tls import add_certificate
from gpuassay.settings import Settings
from gpuassay.systems.llmd.existing import dialect
from gpuassay.systems.llmd.existing.addresses import parts_of
from gpuassay.systems.llmd.pods import names

PROFILES = ("precise", "approximate", "least-loaded", "random")

_OPTIONS = (
    "gateway_url", "gateway_model", "gateway_profile", "gateway_api", "gateway_headers", "gateway_client_certificate",
    "inference_pool", "endpoint_selector", "endpoint_metrics", "epp_target",
)  # fmt: skip
_FLAGS = ("gateway_insecure", "endpoint_tls")
ENDPOINT_TOKEN = "GPUASSAY_ENDPOINT_TOKEN"
"""Environment variable with the bearer token of the model servers themselves."""
ENDINGS = ("/v1", "/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/models")
"""Of URLs that are copied from documentation: the API's paths are added to the base URL."""
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_IMAGE = re.compile(r"(?!.*//)[a-z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?(@sha256:[0-9a-f]{64})?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")


class BadGatewayOption(ValueError):  # noqa: N818 - reads as what it is
    """An option about the gateway cannot be used; one line says which and what it must be."""

    exit_code = 2


@dataclass(frozen=True)
class MetricsAt:
    """Where a model server has its page of metrics: scheme, port and path, each "" or 0 for that of its API."""

    scheme: str = ""
    port: int = 0
    path: str = ""


@dataclass(frozen=True)
class GatewayOptions:
    """Somebody's gateway, as the command line names it.

    Attributes:
        url: base URL of its OpenAI-like API, without a slash at the end.
        models: the served models; scenarios ask for the first, and see that the others are answered by themselves.
        profile: by what rule its picker is said to choose; decides which behaviours it is held to.
        namespace: of InferencePool and model servers.
        pool: name of the InferencePool.
        selector: labels of the model servers' Pods; empty: those of the pool.
        verify_tls: whether its certificate must be valid.
        token: bearer token, "" for none; never printed and never written.
        api: by what path it is asked, of `dialect.NAMES`.
        headers_file: further headers of every request, "" for none.
        certificate: PEM file with our certificate and its key, "" for none.
        endpoint_tls: whether the model servers speak TLS; any certificate of theirs is taken.
        endpoint_token: bearer token of the model servers, "" for none; as `token`.
        metrics: where the model servers have their metrics.
        epp_target: `HOST:PORT` of its endpoint picker, "" where that is not asked directly; `url` may be "" then.
    """

    url: str
    models: tuple[str, ...]
    profile: str
    namespace: str
    pool: str
    selector: Mapping[str, str]
    verify_tls: bool = True
    token: str = field(default="", repr=False)
    api: str = dialect.AUTO
    headers_file: str = ""
    certificate: str = ""
    endpoint_tls: bool = False
    endpoint_token: str = field(default="", repr=False)
    metrics: MetricsAt = MetricsAt()
    epp_target: str = ""

    @property
    def model(self) -> str:
        """The model that scenarios ask for."""
        return self.models[0]

    @property
    def named(self) -> str:
        """What is judged, in words."""
        gateway = f"the gateway {self.url}, said to be {self.profile}" if self.url else ""
        picker = f"the endpoint picker {self.epp_target}" if self.epp_target else ""
        return " and ".join(filter(None, (gateway, picker)))

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries. Raises BadGatewayOption if the file of headers will not do any more."""
        named = _headers(self.headers_file) if self.headers_file else {}
        return named | ({"authorization": f"Bearer {self.token}"} if self.token else {})


def add_options(group: pytest.OptionGroup) -> None:
    """Declare the options; each but the flag may also come from the environment as GPUASSAY_<OPTION>."""
    group.addoption(
        "--gateway-url", metavar="URL", type=text, help="existing cluster: judge routing at this OpenAI-like gateway"
    )
    group.addoption(
        "--gateway-model",
        metavar="NAME",
        type=text,
        action="append",
        help="existing gateway: the served model; once more for each further one behind it",
    )
    group.addoption(
        "--gateway-profile",
        metavar="RULE",
        type=text,
        help=f"existing gateway: what its picker is said to do ({', '.join(PROFILES)}; default: precise)",
    )
    group.addoption(
        "--gateway-api",
        metavar="NAME",
        type=text,
        help=f"existing gateway: by what path it is asked ({', '.join(dialect.NAMES)}; default: auto)",
    )
    group.addoption(
        "--gateway-headers",
        metavar="FILE",
        type=path,
        help="existing gateway: further headers of every request, one NAME: VALUE a line (Host, API keys)",
    )
    group.addoption(
        "--gateway-client-certificate",
        metavar="FILE",
        type=path,
        help="existing gateway: our certificate and its key, in one PEM file",
    )
    group.addoption("--inference-pool", metavar="NAMESPACE/NAME", type=text, help="existing gateway: its InferencePool")
    group.addoption(
        "--endpoint-selector",
        metavar="KEY=VALUE,...",
        type=text,
        help="existing gateway: labels of the model servers' Pods (default: the pool's)",
    )
    group.addoption(
        "--endpoint-metrics",
        metavar="[SCHEME:]PORT[/PATH]",
        type=text,
        help="existing gateway: where the model servers have their metrics (default: their port, /metrics)",
    )
    group.addoption(
        "--endpoint-tls",
        action="store_true",
        help="existing gateway: the model servers speak TLS, with any certificate",
    )
    group.addoption("--epp-target", metavar="HOST:PORT", type=text, help="existing cluster: judge this endpoint picker")
    group.addoption("--gateway-insecure", action="store_true", help="existing gateway: accept any TLS certificate")
    group.addoption(
        "--arm-image",
        metavar="IMAGE",
        type=text,
        help="existing cluster, with --llmd install: gpuassay's own image, for programs of ours in pods",
    )
    group.addoption(
        "--prompts",
        metavar="FILE",
        type=path,
        help="your own prompts (JSON, CSV, Parquet, text) for Figures 6, 7 and gateways",
    )


def take(settings: Settings) -> None:
    """Check the options, and hand the user's own prompts to the scenarios.

    Raises:
        BadGatewayOption: an option about a gateway cannot be used.
        gpuassay.systems.llmd.objects.prompt_files.BadPromptFile: neither can the prompts.
    """
    gateway_options(settings)
    prompts: str | None = settings.option("prompts")
    names.give(_arm_image(settings), settings.mirror)
    if prompts is not None and re.match(r"[a-z0-9+]+://", prompts):
        raise BadGatewayOption(f"--prompts {prompts!r}: nothing is downloaded; fetch it and name the file")
    if prompts and settings.replay:
        raise BadGatewayOption("--prompts: a replay asks nothing; leave out one of --prompts and --replay")
    file, known = prompts, "gpuassay.systems.llmd.objects.prompt_files" in sys.modules
    if file is not None or known:  # those of an earlier run in this process are taken back
        from gpuassay.systems.llmd.objects import prompt_files

        prompt_files.give(None if file is None else Path(file))


def _arm_image(settings: Settings) -> str | None:
    """The image of our programs in pods. Raises BadGatewayOption where it is none, or nobody would use it."""
    image: str | None = settings.option("arm_image")
    if image and not settings.existing:
        raise BadGatewayOption("--arm-image: only with --cluster existing; embedded arms are processes")
    if image is not None and not _IMAGE.fullmatch(image):
        raise BadGatewayOption(f"--arm-image {image!r}: not of the form REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:...")
    return image


def said() -> list[str]:
    """What a run says of the user's own prompts at its beginning; nothing where there are none."""
    if "gpuassay.systems.llmd.objects.prompt_files" not in sys.modules:
        return []
    from gpuassay.systems.llmd.objects import prompt_files

    found = prompt_files.given()
    return [] if found is None else found.lines()


def gateway_options(settings: Settings, environ: Mapping[str, str] = os.environ) -> GatewayOptions | None:
    """The gateway that the command line, or else the environment, names; None where none is to be judged.

    The environment counts with `--cluster existing` only: a variable that is left over must not change another run.

    Raises:
        BadGatewayOption: one line.
    """
    given = {name: settings.option(name) for name in _OPTIONS}
    flags = [name for name in _FLAGS if settings.option(name)]
    if not settings.existing:
        named = [_flag(name) for name, value in given.items() if value] + [_flag(name) for name in flags]
        if named:
            raise BadGatewayOption(f"{', '.join(named)}: only with --cluster existing; embedded arms are ours")
        return None
    models = _models(given.pop("gateway_model"), environ)
    found = {name: str(value or environ.get(f"GPUASSAY_{name.upper()}") or "") for name, value in given.items()}
    found["gateway_model"] = ",".join(models)
    if not found["gateway_url"] and not found["epp_target"]:
        alone = [_flag(name) for name, value in found.items() if value] + [_flag(name) for name in flags]
        if alone:
            raise BadGatewayOption(f"{', '.join(alone)}: say also which gateway, with --gateway-url URL")
        return None
    lacking = [_flag(name) for name in ("gateway_model", "inference_pool") if not found[name]]
    if lacking:
        first = "--gateway-url" if found["gateway_url"] else "--epp-target"
        raise BadGatewayOption(f"{first} needs also {' and '.join(lacking)}")
    if settings.mutant:
        raise BadGatewayOption("--mutant breaks gateways that we start; one that is yours stays as it is")
    namespace, pool = _pool(found["inference_pool"])
    url, certificate = _url(found["gateway_url"]) if found["gateway_url"] else "", found["gateway_client_certificate"]
    if certificate:
        _check_certificate(certificate, url)
    if found["gateway_headers"]:
        _headers(found["gateway_headers"])
    return GatewayOptions(
        url=url,
        models=models,
        profile=_one_of("--gateway-profile", found["gateway_profile"] or "precise", PROFILES),
        namespace=namespace,
        pool=pool,
        selector=_selector(found["endpoint_selector"]),
        verify_tls="gateway_insecure" not in flags,
        token=_token(environ.get(TOKEN, "").strip(), TOKEN),
        api=_one_of("--gateway-api", found["gateway_api"] or dialect.AUTO, dialect.NAMES),
        headers_file=found["gateway_headers"],
        certificate=certificate,
        endpoint_tls="endpoint_tls" in flags,
        endpoint_token=_token(environ.get(ENDPOINT_TOKEN, "").strip(), ENDPOINT_TOKEN),
        metrics=_metrics(found["endpoint_metrics"]),
        epp_target=_target(found["epp_target"]),
    )


def _models(given: object, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The models that the command line names, else those of the environment, by comma."""
    words: Sequence[str] = [given] if isinstance(given, str) else cast("Sequence[str]", given or ())
    if not words:
        words = environ.get("GPUASSAY_GATEWAY_MODEL", "").split(",")
    found = tuple(one.strip() for one in words if one.strip())
    if len(set(found)) < len(found):
        raise BadGatewayOption("--gateway-model: names a model twice")
    return found


def _headers(file: str) -> dict[str, str]:
    try:
        return read_headers(Path(file), "--gateway-headers")
    except LoadError as error:
        raise BadGatewayOption(str(error)) from None


def _check_certificate(file: str, url: str) -> None:
    if not url.startswith("https://"):
        raise BadGatewayOption("--gateway-client-certificate: a certificate is shown to a gateway of https:// only")
    try:
        add_certificate(ssl.create_default_context(), file, "--gateway-client-certificate")
    except LoadError as error:
        raise BadGatewayOption(str(error)) from None


def _target(word: str) -> str:
    if word:
        try:
            parts_of(word)
        except ValueError as error:
            raise BadGatewayOption(f"--epp-target: {error}") from None
    return word


_METRICS_AT = re.compile(r"(?:(https?):)?(\d{1,5})?(/[!-~]*)?")


def _metrics(word: str) -> MetricsAt:
    parts = _METRICS_AT.fullmatch(word)
    if parts is None or (parts[1] and not parts[2]) or not 0 <= int(parts[2] or 0) <= 65535 or parts[2] == "0":
        raise BadGatewayOption(
            f"--endpoint-metrics {word!r}: not of the form [SCHEME:]PORT[/PATH] or /PATH, such as https:9100/stats"
        )
    return MetricsAt(parts[1] or "", int(parts[2] or 0), parts[3] or "")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _url(text: str) -> str:
    text = text.strip()
    # first, and without a word of it: what stands before @ or behind ? is a secret, or may be one
    if "@" in text.partition("?")[0]:
        raise BadGatewayOption(f"--gateway-url: no credentials in the URL; put a bearer token into {TOKEN}")
    if "?" in text or "#" in text:
        raise BadGatewayOption(
            f"--gateway-url: a base URL ends before ? and #, since paths are added to it; an API key goes into {TOKEN}"
        )
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        good = good and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good or not text.isprintable() or " " in text or "\\" in text:
        raise BadGatewayOption(
            f"--gateway-url {without_secrets(text)!r}: not of the form http://HOST[:PORT][/PATH] or https://..."
        )
    url = text.rstrip("/")
    for ending in ENDINGS:
        if url.endswith(ending):
            raise BadGatewayOption(f"--gateway-url {text!r}: without {ending}, which is added")
    return url


def _one_of(option: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise BadGatewayOption(f"{option} {text!r}: is none of {', '.join(known)}")
    return text


def _pool(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not slash or not _SUBDOMAIN.fullmatch(namespace) or not _SUBDOMAIN.fullmatch(name):
        raise BadGatewayOption(f"--inference-pool {text!r}: not of the form NAMESPACE/NAME")
    return namespace, name


def _selector(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise BadGatewayOption(f"--endpoint-selector {text!r}: {part!r} is not of the form KEY=VALUE")
        if key in found:
            raise BadGatewayOption(f"--endpoint-selector {text!r}: names {key} twice")
        found[key] = value
    if text and not found:
        raise BadGatewayOption(f"--endpoint-selector {text!r}: names no label")
    return found


def _token(text: str, variable: str) -> str:
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise BadGatewayOption(f"{variable}: a bearer token has printable ASCII characters and no spaces")
    return text
