"""Raw HTTP to an API server, with the credentials of a kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.config import load_kube_config  # pyright: ignore[reportUnknownVariableType]

from gpuassay.record.resources import RecorderError

CONNECT_SECONDS = 5.0
READ_SECONDS = 90.0
"""An API server sends a bookmark about once a minute, so a longer silence is a dead connection."""


class Connection(Protocol):
    """Opens GET requests as unread responses."""

    def get(self, path: str, query: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET `path`; the body is not read yet. Raises urllib3's HTTPError on network errors."""
        ...


class KubeConnection:
    """A connection pool for the cluster of a kubeconfig (client certificate, token or plugin)."""

    def __init__(self, kubeconfig: str, context: str | None, scratch: Path, pool_size: int) -> None:
        """Read the kubeconfig.

        Args:
            kubeconfig: path of the file.
            context: context, or None for the current one.
            scratch: folder for certificate files taken out of the kubeconfig, so that they go with it.
            pool_size: connections kept; one per watch.

        Raises:
            RecorderError: the kubeconfig cannot be used.
        """
        self._configuration = Configuration()
        try:
            load_kube_config(
                config_file=kubeconfig,
                context=context,
                client_configuration=self._configuration,
                persist_config=False,
                temp_file_path=str(scratch),
            )
        except Exception as e:  # the loader raises ConfigException, YAML errors, OSError and KeyError
            raise RecorderError(f"kubeconfig {kubeconfig} cannot be used: {_line(e)}") from e
        conf = self._configuration
        self._host = str(conf.host).rstrip("/")
        extra: dict[str, Any] = {"server_hostname": str(conf.tls_server_name)} if conf.tls_server_name else {}
        self._pool = urllib3.PoolManager(
            num_pools=2,
            maxsize=pool_size,
            retries=False,
            # The keywords matter: the positional order is (total, connect), and a total cuts a healthy watch.
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            cert_reqs="CERT_REQUIRED" if conf.verify_ssl else "CERT_NONE",
            ca_certs=conf.ssl_ca_cert,
            cert_file=conf.cert_file,
            key_file=conf.key_file,
            **extra,
        )

    def get(self, path: str, query: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET `path`; the body is not read yet. Raises urllib3's HTTPError on network errors."""
        headers = {"Accept": "application/json"}
        token = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        url = f"{self._host}{path}?{urlencode(query)}"
        return self._pool.request("GET", url, headers=headers, preload_content=False)


def _line(e: Exception) -> str:
    return " ".join(str(e).split()) or type(e).__name__
