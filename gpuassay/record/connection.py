"""Raw HTTP to an API server, for watches: the connection of `gpuassay.access`, body unread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import urllib3

from gpuassay.access.connection import Connection as Access
from gpuassay.access.connection import NoAnswer
from gpuassay.access.errors import AccessError
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
    """A connection pool for the cluster of a kubeconfig."""

    def __init__(self, kubeconfig: str, context: str | None, scratch: Path, pool_size: int) -> None:
        """Read the kubeconfig.

        Args:
            kubeconfig: path of the file, or several as in $KUBECONFIG.
            context: context, or None for the current one.
            scratch: folder of the recorder's own; certificates and keys stay in memory, so nothing is written there.
            pool_size: connections kept; one per watch.

        Raises:
            RecorderError: the kubeconfig cannot be used.
        """
        del scratch
        try:
            self._access = Access.open(kubeconfig, context, size=pool_size)
        except AccessError as e:
            raise RecorderError(str(e)) from None

    def get(self, path: str, query: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET `path`; the body is not read yet. Raises urllib3's HTTPError on network errors."""
        try:
            return self._access.request("GET", path, query=query, timeout=(CONNECT_SECONDS, READ_SECONDS), read=False)
        except AccessError as e:  # a plugin may give a credential again
            raise NoAnswer(str(e)) from None
