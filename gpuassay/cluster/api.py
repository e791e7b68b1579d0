"""The Kubernetes API with plain dicts in and out.

Requests go through the dynamic client of the `kubernetes` package (authentication, TLS, connection pool); paths come
from `kinds`, so nothing is discovered. All methods may be used from many threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.kinds import kind_of
from gpuassay.manifest import Manifest

FIELD_MANAGER = "gpuassay"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_CONNECTIONS = 64
TIMEOUT: tuple[float, float] = (5, 90)
"""Seconds to connect, and to wait for an answer: a half-open connection must not hang a run."""


class _Nothing:
    """Stands where the dynamic client keeps its discovery."""

    def __init__(self, *_: object) -> None:
        pass


def _refusal(status: int, body: str) -> ApiRefused:
    try:
        answer: Any = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return ApiRefused(status, "Unknown", body.strip() or "no explanation")
    said = cast("dict[str, Any]", answer)
    details: dict[str, Any] = said.get("details") or {}
    return ApiRefused(status, said.get("reason") or "Unknown", said.get("message") or body, details.get("causes") or [])


class Api:
    """One identity's access to one API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        """Use `from_kubeconfig`."""
        self._dynamic: Any = DynamicClient(api_client, discoverer=_Nothing)  # without types: the package has none here
        self._version: dict[str, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_kubeconfig(cls, path: Path | str, context: str | None = None, *, direct: bool = False) -> Api:
        """Build from a kubeconfig file; `direct` ignores proxy settings of the environment (for loopback servers).

        Raises:
            kubernetes.config.ConfigException: the file or the context is no good.
        """
        settings = client.Configuration()
        settings.connection_pool_maxsize = _CONNECTIONS
        load: Any = config.load_kube_config  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        load(config_file=str(path), context=context, client_configuration=settings)
        if direct:
            settings.proxy = None
        return cls(client.ApiClient(settings))

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        *,
        content_type: str | None = None,
        query: Mapping[str, object] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> str:
        """One request; returns the body of the answer.

        Args:
            method: HTTP method.
            path: path below the server's address, without query.
            body: what is sent as JSON, or text that is sent as it is.
            content_type: of the body.
            query: query parameters.
            timeout: seconds to connect, and to wait for an answer.

        Raises:
            ApiRefused: the server answered with an error.
            ClusterError: there was no answer.
        """
        parameters = [(key, str(value)) for key, value in (query or {}).items() if value is not None]
        try:
            answer: Any = self._dynamic.request(
                method,
                path,
                body=body,
                serialize=False,
                content_type=content_type,
                query_params=parameters,
                _request_timeout=timeout,
            )
            return cast("bytes", answer.data).decode()
        except ApiException as e:  # the dynamic client's errors are its subclasses
            refused: Any = e
            raise _refusal(int(refused.status or 0), _text(refused.body)) from e
        except urllib3.exceptions.HTTPError as e:
            raise ClusterError(f"no answer from the API server to {method.upper()} {path}: {e}") from e

    def _object(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        content_type: str | None = None,
        **query: object,
    ) -> Manifest:
        answer = self.request(method, path, body, content_type=content_type, query=query)
        return cast("Manifest", json.loads(answer))

    def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        """Server-side apply as field manager `gpuassay`; `force` takes fields over from other managers."""
        kind = kind_of(manifest["kind"], manifest["apiVersion"])
        meta = manifest["metadata"]
        path = kind.path(meta["name"], meta.get("namespace"))
        # JSON is YAML; sent as text, it is not walked through once more by the client
        body = json.dumps(manifest)
        return self._object("patch", path, body, APPLY, fieldManager=FIELD_MANAGER, force=str(force).lower())

    def create(self, manifest: Manifest) -> Manifest:
        """Create; `generateName` is honoured."""
        kind = kind_of(manifest["kind"], manifest["apiVersion"])
        path = kind.path(namespace=manifest["metadata"].get("namespace"))
        return self._object("post", path, manifest, fieldManager=FIELD_MANAGER)

    def get(self, kind: str, name: str, namespace: str | None = None, *, version: str | None = None) -> Manifest | None:
        """The object, or None when it does not exist."""
        try:
            return self._object("get", kind_of(kind, version).path(name, namespace))
        except ApiRefused as e:
            if e.status == 404:
                return None
            raise

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        *,
        field_selector: str | None = None,
        version: str | None = None,
    ) -> list[Manifest]:
        """All objects of a kind, in pages; each with its `kind` and `apiVersion` filled in as `get` has them."""
        where, found, more = kind_of(kind, version), list[Manifest](), None
        while True:
            page = self._object(
                "get",
                where.path(namespace=namespace),
                labelSelector=label_selector,
                fieldSelector=field_selector,
                limit=500,
                **{"continue": more},
            )
            items: list[Manifest] = page.get("items") or []
            found += [{"apiVersion": where.version, "kind": kind} | item for item in items]
            more = page["metadata"].get("continue") or None
            if more is None:
                return found

    def patch(
        self,
        kind: str,
        name: str,
        body: Manifest | list[Manifest],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        content_type: str = MERGE,
        version: str | None = None,
    ) -> Manifest:
        """Patch an object or its `subresource`; JSON merge patch unless `content_type` says otherwise."""
        path = kind_of(kind, version).path(name, namespace, subresource)
        return self._object("patch", path, body, content_type, fieldManager=FIELD_MANAGER)

    def replace(self, manifest: Manifest, *, subresource: str | None = None) -> Manifest:
        """PUT the object: refused with 409 when its resourceVersion is no longer the newest."""
        kind = kind_of(manifest["kind"], manifest["apiVersion"])
        meta = manifest["metadata"]
        path = kind.path(meta["name"], meta.get("namespace"), subresource)
        return self._object("put", path, manifest, fieldManager=FIELD_MANAGER)

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        propagation: str = "Background",
        missing_ok: bool = True,
        version: str | None = None,
    ) -> None:
        """Delete an object; with `missing_ok` one that is gone already is fine."""
        query: dict[str, object] = {"propagationPolicy": propagation, "gracePeriodSeconds": grace_seconds}
        try:
            self.request("delete", kind_of(kind, version).path(name, namespace), query=query)
        except ApiRefused as e:
            if not (missing_ok and e.status == 404):
                raise

    def raw(self, path: str, timeout: tuple[float, float] = TIMEOUT) -> str:
        """GET any path, such as `/metrics`."""
        return self.request("get", path, timeout=timeout)

    @property
    def version(self) -> dict[str, str]:
        """The server's `/version`."""
        with self._lock:
            if self._version is None:
                self._version = cast("dict[str, str]", json.loads(self.raw("/version")))
            return self._version

    def close(self) -> None:
        """Close the connections."""
        self._dynamic.client.close()


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
