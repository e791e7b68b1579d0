"""Kueue's metrics endpoint: HTTPS with a certificate of its own making, and a ServiceAccount's token."""

from __future__ import annotations

import hashlib
import json
import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.metrics import ACCEPT, Sample, answered
from gpuassay.systems.kueue.component.manifests import METRICS_ACCOUNT
from gpuassay.systems.kueue.component.profiles import NAMESPACE

__all__ = ["Sample", "Scraper"]


class _Pinned(HTTPAdapter):
    """Accepts exactly one certificate, the one that the server showed first."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, assert_fingerprint=self._fingerprint, **kwargs)


class Scraper:
    """Scrapes one started manager."""

    def __init__(self, api: Api, port: int) -> None:
        """Nothing is asked yet."""
        self._api, self._port = api, port
        self._session: requests.Session | None = None
        self.answered = False
        """Whether a scrape ever succeeded."""

    def scrape(self) -> list[Sample]:
        """All samples now.

        Raises:
            ClusterError: no answer, a refusal, or no page of metrics.
        """
        try:
            session = self._session = self._session or self._connect()
            answer = session.get(f"https://127.0.0.1:{self._port}/metrics", timeout=30, headers=ACCEPT)
        except (OSError, requests.RequestException) as e:
            raise ClusterError(f"Kueue's metrics cannot be had: {e}") from e
        found = answered("Kueue", answer)
        self.answered = True
        return found

    def _connect(self) -> requests.Session:
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{METRICS_ACCOUNT}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        token = json.loads(self._api.request("post", path, asked))["status"]["token"]
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", self._port), timeout=10))
        session = requests.Session()
        session.trust_env = False  # a proxy has nothing to do with the loopback interface
        session.verify = False  # self-signed: the fingerprint is what is checked
        session.headers["Authorization"] = f"Bearer {token}"
        session.mount("https://", _Pinned(hashlib.sha256(shown).hexdigest()))
        return session
