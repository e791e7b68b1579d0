"""A model server of somebody's: asked and scraped, at its Pod's address or through the API server's Pod proxy."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Never, cast
from urllib.parse import quote

import requests

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.cluster.program import ANSWER_SECONDS
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.llmd.component.metrics import NoMetricsHere, Sample, parse, scrape
from gpuassay.systems.llmd.component.simulator import Replica
from gpuassay.systems.llmd.existing.dialect import COMPLETIONS, Dialect
from gpuassay.systems.llmd.existing.options import ENDPOINT_TOKEN, MetricsAt

REACH_SECONDS = 1.0
"""How long a Pod's address may take to accept a connection before the Pod proxy is taken instead."""

METRICS_PATHS = ("/metrics", "/prometheus/metrics", "/v1/metrics")
"""Where engines have their Prometheus page: nearly all; TensorRT-LLM, whose /metrics is JSON; NVIDIA NIM."""


@dataclass(frozen=True)
class Access:
    """How model servers are asked.

    Attributes:
        tls: whether they speak TLS; any certificate is taken.
        token: bearer token, "" for none.
        metrics: where their metrics are.
    """

    tls: bool = False
    token: str = field(default="", repr=False)
    metrics: MetricsAt = field(default_factory=MetricsAt)


PLAIN = Access()
"""By plain HTTP, everything at the port of the pool."""


class OutOfReach:
    """Stands where an arm of ours has a part that is not ours to touch in somebody's."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Never:
        raise NotFromOutside(f"{self._what} of somebody's gateway cannot be touched from outside")


class ExistingReplica(Replica):
    """A model server of somebody's: may be asked and scraped; is never stopped, killed or changed."""

    def __init__(
        self, api: Api, namespace: str, name: str, address: str, port: int, model: str, access: Access = PLAIN,
        way: Dialect = COMPLETIONS,
    ) -> None:  # fmt: skip
        """Finds out at once whether the address can be reached from here; `way`: how it is asked for an answer."""
        super().__init__(name, address, port, model, cast("Any", OutOfReach(f"the process of {name}")))
        self._api, self._namespace, self._pod, self._way = api, namespace, name, way
        self._scheme = "https" if access.tls else "http"
        at = access.metrics
        self._metrics_scheme, self._metrics_port = at.scheme or self._scheme, at.port or port
        self._paths = (at.path,) if at.path else METRICS_PATHS
        self.proxied = not _reachable(address, port)
        self._http.verify = False  # a certificate names no Pod's address
        if access.token:
            self._http.headers["authorization"] = f"Bearer {access.token}"

    @property
    def url(self) -> str:
        """Base URL of its API. Raises NotFromOutside where only the Pod proxy reaches it."""
        if self.proxied:
            raise NotFromOutside(f"{self.name} is reached through the API server's Pod proxy only: it has no URL here")
        return self._at(self._scheme, self.port)

    def _at(self, scheme: str, port: int) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{scheme}://{host}:{port}"

    def _proxy(self, scheme: str, port: int) -> str:
        tls = "https:" if scheme == "https" else ""
        return f"/api/v1/namespaces/{self._namespace}/pods/{tls}{self._pod}:{port}/proxy"

    def healthy(self) -> bool:
        """Whether its metrics can be read."""
        try:
            return bool(self.metrics())
        except ClusterError:
            return False

    def metrics(self) -> list[Sample]:
        """All its metrics now, at the first of `METRICS_PATHS` that has some.

        Raises:
            ClusterError: it does not answer, may not be asked, or has no page of metrics; one line names it.
        """
        first: NoMetricsHere | None = None
        for path in self._paths:
            try:
                found = self._page(path)
            except NoMetricsHere as error:
                first = first or error
            else:
                self._paths = (path,)
                return found
        assert first is not None
        others = f"; nor at {', '.join(self._paths[1:])}" if len(self._paths) > 1 else ""
        raise NoMetricsHere(f"{first}{others}") from None

    def _page(self, path: str) -> list[Sample]:
        scheme, port = self._metrics_scheme, self._metrics_port
        what = f"model server {self.name} at {self.address}:{port}{path}"
        if not self.proxied:
            return scrape(what, self._at(scheme, port) + path, self._http)
        return parse(self._through_proxy("get", scheme, port, path), what=what)

    def started(self) -> list[Sample]:
        """When the containers that serve its port started, named as by kube-state-metrics; none where it is not told.

        A restart changes it, and so tells of counters that began anew even if they have grown beyond their old values.
        """
        try:
            pod = self._api.get("Pod", self._pod, self._namespace) or {}
        except ClusterError:
            return []
        containers = dig(pod, "spec", "containers", default=[])
        serving = {
            one["name"] for one in containers
            if any(port.get("containerPort") == self.port for port in one.get("ports") or ())
        } or {one["name"] for one in containers}  # fmt: skip
        now = time.time_ns()
        return [
            {
                "at": now, "name": "kube_pod_container_state_started", "labels": {"container": one["name"]},
                "value": datetime.fromisoformat(began).timestamp(),
            }
            for one in dig(pod, "status", "containerStatuses", default=[])
            if one["name"] in serving and (began := dig(one, "state", "running", "startedAt"))
        ]  # fmt: skip

    def complete(self, prompt: str, *, max_tokens: int = 1, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """One completion asked of this replica directly, past gateway and picker. Raises ClusterError."""
        body = self._way.body(self.model, prompt, max_tokens)
        if not self.proxied:
            return self._posted(self.url + self._way.path, body, timeout)
        answer = self._through_proxy("post", self._scheme, self.port, self._way.path, body)
        return cast("dict[str, Any]", json.loads(answer))

    def _posted(self, url: str, body: Manifest, timeout: float) -> dict[str, Any]:
        try:
            answer = self._http.post(url, json=body, timeout=timeout)
        except requests.RequestException as error:
            raise ClusterError(f"no answer from model server {self.name} at {url}: {error}") from None
        if answer.status_code != 200:
            hint = f"; it wants a token of its own: {ENDPOINT_TOKEN}" if answer.status_code in (401, 403) else ""
            raise ClusterError(
                f"no answer from model server {self.name} at {url}: {answer.status_code} "
                f"{' '.join(answer.text.split())[:300]}{hint}"
            )
        return cast("dict[str, Any]", answer.json())

    def _through_proxy(self, method: str, scheme: str, port: int, path: str, body: Manifest | None = None) -> str:
        try:
            return self._api.request(method, self._proxy(scheme, port) + quote(path), body)
        except ApiRefused as refused:
            kind = NoMetricsHere if refused.status == 404 and method == "get" else ClusterError
            raise kind(
                f"{self.name}:{port} is not reached at {self.address}, and the Pod proxy answers {refused}; "
                "run where Pods can be reached, or allow pods/proxy"
            ) from None

    def _refuse(self, *_: object, **__: object) -> Never:
        raise NotFromOutside(f"{self.name} is somebody's: it is not stopped, killed or changed")

    admin = kill = terminate = suspend = resume = restart = stop = launch = await_ready = _refuse


def _reachable(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), REACH_SECONDS).close()
    except OSError:
        return False
    return True
