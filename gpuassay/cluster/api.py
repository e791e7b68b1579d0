"""The Kubernetes API with plain dicts in and out.

Requests go through the connection that the recorder uses, too (`gpuassay.access`); paths come from `kinds`, so nothing
is discovered. All methods may be used from many threads.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from gpuassay.access.connection import ONCE, REDIRECTS, RETRIES, Connection, NoAnswer
from gpuassay.access.errors import AccessError
from gpuassay.cluster.errors import ApiRefused, ClusterError, NotAnswered
from gpuassay.cluster.kinds import kind_of
from gpuassay.manifest import Manifest, dig
from gpuassay.secrets import hide_line

FIELD_MANAGER = "gpuassay"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_CONNECTIONS = 64
TIMEOUT: tuple[float, float] = (5, 90)
"""Seconds to connect, and to wait for an answer: a half-open connection must not hang a run."""


_SAID = 300
"""Characters of an answer that is no Status."""


def _plain(body: str) -> str:
    """What an answer says that is no Status: of a page its title, else its text."""
    title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    text = title[1] if title else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", body, flags=re.IGNORECASE | re.DOTALL)
    said = " ".join(html.unescape(text).split()) or "no explanation"
    return said if len(said) <= _SAID else f"{said[:_SAID]}..."


def _refusal(status: int, body: str) -> ApiRefused:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return ApiRefused(status, "Unknown", _plain(hide_line(body)))
    said = cast("dict[str, Any]", answer)
    details: Any = said.get("details")
    causes: Any = cast("dict[str, Any]", details).get("causes") if isinstance(details, dict) else None
    message = hide_line(str(said.get("message") or _plain(body)))
    return ApiRefused(status, said.get("reason") or "Unknown", message, causes or [])


class Api:
    """One identity's access to one API server."""

    def __init__(self, connection: Connection) -> None:
        """Use `from_kubeconfig`, or a connection that is open."""
        self.connection = connection
        self.denied: set[str] = set()
        """Rights that its identity was found to lack, such as `create jobs.batch`."""
        self._version: dict[str, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_kubeconfig(cls, path: Path | str, context: str | None = None, *, direct: bool = False) -> Api:
        """Build from a kubeconfig; `direct` ignores proxy settings of the environment (for loopback servers).

        Raises:
            ClusterError: the file or the context is no good.
        """
        try:
            return cls(Connection.open(path, context, direct=direct, size=_CONNECTIONS))
        except AccessError as e:
            raise ClusterError(str(e)) from None

    def apart(self) -> Api:
        """The same access by the same connection; what it is denied stands in its own `denied`."""
        other = Api(self.connection)
        other._version = self._version
        return other

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        *,
        content_type: str | None = None,
        query: Mapping[str, object] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        again: bool = True,
    ) -> str:
        """One request; returns the body of the answer.

        Args:
            method: HTTP method.
            path: path below the server's address, without query.
            body: what is sent as JSON, or text that is sent as it is.
            content_type: of the body.
            query: query parameters.
            timeout: seconds to connect, and to wait for an answer.
            again: whether one that fails on its way is sent again, where that does no harm.

        Raises:
            ApiRefused: the server answered with an error.
            ClusterError: there was no answer.
        """
        parameters = {key: str(value) for key, value in (query or {}).items() if value is not None}
        sent = body if body is None or isinstance(body, str) else json.dumps(body)
        headers = {"Content-Type": content_type or "application/json"} if sent is not None else {}
        asked = f"{method.upper()} {path}"
        try:
            answer = self.connection.request(
                method,
                path,
                query=parameters,
                headers=headers,
                body=sent,
                timeout=timeout,
                retries=RETRIES if again else ONCE,
            )
        except NoAnswer as e:
            raise NotAnswered(asked, str(e)) from None
        except AccessError as e:
            raise ClusterError(str(e)) from None
        text = answer.data.decode(errors="replace")
        if answer.status in REDIRECTS:
            where = hide_line(answer.headers.get("Location", "").partition("?")[0])
            raise ApiRefused(answer.status, "Redirect", f"sends on to {where or 'somewhere else'} instead of answering")
        if answer.status >= 400:
            refused = _refusal(answer.status, text)
            if refused.denied:
                self.denied.add(refused.denied)
            raise refused
        return text

    def _object(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Manifest] | str | None = None,
        content_type: str | None = None,
        **query: object,
    ) -> Manifest:
        return self._parsed(path, self.request(method, path, body, content_type=content_type, query=query))

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
        where = kind_of(kind, version)
        items = self.pages(where.path(namespace=namespace), label_selector, field_selector=field_selector)
        return [{"apiVersion": where.version, "kind": kind} | item for item in items]

    def pages(
        self, path: str, label_selector: str | None = None, *, field_selector: str | None = None
    ) -> Sequence[Manifest]:
        """The items of a collection of any kind, by its URL path, asked for in pages."""
        found, more = list[Manifest](), None
        asked: dict[str, object] = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": 500}
        while True:
            page = self._object("get", path, **asked, **{"continue": more})
            found += page.get("items") or []
            more = dig(page, "metadata", "continue") or None
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

    def raw(self, path: str, timeout: tuple[float, float] = TIMEOUT, *, again: bool = True) -> str:
        """GET any path, such as `/metrics`."""
        return self.request("get", path, timeout=timeout, again=again)

    def read(self, path: str, timeout: tuple[float, float] = TIMEOUT, *, again: bool = True) -> Manifest:
        """GET any path that answers with an object, such as `/version`.

        Raises:
            ClusterError: it does not, as where a login page stands in front of the API server.
        """
        return self._parsed(path, self.raw(path, timeout, again=again))

    def _parsed(self, path: str, answer: str) -> Manifest:
        try:
            found: Any = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ClusterError(
                f"GET {path} is not answered by an API server: a login page or a proxy stands in front of it, or "
                f"server is another's address; it says: {_plain(hide_line(answer))}"
            )
        return cast("Manifest", found)

    @property
    def version(self) -> dict[str, str]:
        """The server's `/version`."""
        with self._lock:
            if self._version is None:
                self._version = cast("dict[str, str]", self.read("/version"))
            return self._version

    def forget_version(self) -> None:
        """Another server answers at the same address from now on."""
        with self._lock:
            self._version = None

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()
