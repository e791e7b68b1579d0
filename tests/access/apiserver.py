"""An API server on loopback: TLS, bearer tokens, client certificates, and what stands in front of real ones."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from gpuassay.manifest import Manifest

GOOD = "good-token-1234"
NAME = "api.cluster.test"
"""A name that resolves nowhere; the server's certificate has it, so only a proxy leads there."""

Answer = tuple[int, str, str]
"""Status, content type, body."""


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, list[str]]
    body: str = ""

    def one(self, name: str) -> str:
        return ", ".join(self.headers.get(name.lower(), []))


@dataclass
class Server:
    """A running server.

    Attributes:
        accepts: bearer tokens that it knows.
        answer: answers instead of the API where it gives anything but None.
        asked: every request.
        release: what hangs waits for this.
    """

    authority: trustme.CA
    port: int = 0
    scheme: str = "https"
    accepts: set[str] = field(default_factory=lambda: {GOOD})
    answer: Callable[[Asked], Answer | None] = lambda _: None
    asked: list[Asked] = field(default_factory=list[Asked])
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def ca(self) -> bytes:
        return self.authority.cert_pem.bytes()


def _status(code: int, reason: str, message: str) -> Answer:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
    return code, "application/json", json.dumps(body)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def do_GET(self) -> None:
            self._answer("")

        def _answer(self, sent: str) -> None:
            headers: dict[str, list[str]] = {}
            for name, value in self.headers.items():
                headers.setdefault(name.lower(), []).append(value)
            asked = Asked(self.path, headers, sent)
            server.asked.append(asked)
            status, kind, body = server.answer(asked) or self._api(asked)
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if status in (301, 302):
                self.send_header("Location", "https://sso.example/login?state=S3CRET-state")
            self.end_headers()
            self.wfile.write(data)

        def _api(self, asked: Asked) -> Answer:
            given = asked.one("authorization")
            peer: Any = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            path = urlsplit(asked.path).path
            if given and given not in {f"Bearer {one}" for one in server.accepts} | {"Basic dTpwYXNz"}:
                return _status(401, "Unauthorized", "Unauthorized")
            if not path.endswith("/version") and not given and not peer:
                message = 'namespaces is forbidden: User "system:anonymous" cannot list resource "namespaces"'
                return _status(403, "Forbidden", message)
            if path.endswith("/version"):
                return 200, "application/json", json.dumps({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
            if "watch=1" in asked.path:
                server.release.wait(30)
                return 200, "application/json", ""
            plural = path.rpartition("/")[2]
            kind = {"namespaces": "Namespace", "pods": "Pod", "nodes": "Node"}.get(plural)
            if kind is None:
                return _status(404, "NotFound", "the server could not find the requested resource")
            page: Manifest = {
                "kind": f"{kind}List",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": "7"},
                "items": [],
            }
            return 200, "application/json", json.dumps(page)

    return Handler


@contextmanager
def serving(
    *names: str, plain: bool = False, clients: trustme.CA | None = None, authority: trustme.CA | None = None,
    certificate: trustme.LeafCert | None = None, host: str = "127.0.0.1",
) -> Generator[Server]:  # fmt: skip
    """A server whose certificate has these names, and 127.0.0.1; `clients` signs what clients may show."""
    server = Server(authority or trustme.CA())
    httpd = ThreadingHTTPServer.__new__(ThreadingHTTPServer)
    if ":" in host:
        httpd.address_family = socket.AF_INET6
    httpd.__init__((host, 0), _handler(server))
    httpd.daemon_threads = True
    if plain:
        server.scheme = "http"
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown: Any = certificate or server.authority.issue_cert(*(names or ("127.0.0.1", NAME)))
        shown.configure_cert(context)
        if clients is not None:
            trusted: Any = clients
            trusted.configure_trust(context)
            context.verify_mode = ssl.CERT_OPTIONAL
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.port = int(httpd.server_address[1])
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


def config(running: Server | None, user: object = None, **cluster: object) -> dict[str, Any]:
    """A kubeconfig of one context `lab` with user `u`; None as a value takes a field of the cluster out."""
    told: dict[str, object] = {}
    if running is not None:
        told = {"server": running.url}
        if running.scheme == "https":
            told["certificate-authority-data"] = base64.b64encode(running.ca).decode()
    told |= {name.replace("_", "-"): value for name, value in cluster.items()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "c", "cluster": {key: value for key, value in told.items() if value is not None}}],
        "users": [{"name": "u", "user": {"token": GOOD} if user is None else user}],
        "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
    }


def written(folder: Path, document: object, name: str = "config") -> Path:
    """The document as a file; text as it stands, everything else as JSON."""
    path = folder / name
    if isinstance(document, bytes):
        path.write_bytes(document)
    else:
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path
