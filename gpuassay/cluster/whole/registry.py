"""A read-only registry for one node: `python -S -m gpuassay.cluster.whole.registry FILE PORT`, inside the node.

Serves the images of FILE (`gpuassay.cluster.images.save`) whatever registry their names say, which containerd
tells by `?ns=` (OCI Distribution Specification 1.1, pull only). What is not there is not there, as on a site without
access to the world. A private registry has the same images under its own name, for who logs in. Listens on the
node's loopback, so nobody else reaches it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from gpuassay.cluster.images import MANIFEST, Blobs, Part, blocks, load, size
from gpuassay.cluster.whole import logins

PORT = 5000
LOGIN: Mapping[str, str] = {"WWW-Authenticate": 'Basic realm="private registry"'}
NONE: Mapping[str, str] = {}


class Registry(ThreadingHTTPServer):
    """Serves what a file says, which may be written anew at any time."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], source: Path) -> None:
        """Listen at `address`."""
        super().__init__(address, _Handler)
        self._source = source
        self._read = (0, Blobs())

    @property
    def images(self) -> Blobs:
        """What there is now."""
        written = self._source.stat().st_mtime_ns
        if written != self._read[0]:
            self._read = (written, load(self._source))
        return self._read[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """One line a request, for the node's log."""
        print(format % args, file=sys.stderr, flush=True)

    def do_GET(self) -> None:
        """Serve a manifest or a blob."""
        self._serve(with_body=True)

    def do_HEAD(self) -> None:
        """Say whether there is one."""
        self._serve(with_body=False)

    def _serve(self, *, with_body: bool) -> None:
        asked = urlsplit(self.path)
        if asked.path.rstrip("/") == "/v2":
            self._answer(200, "application/json", [b"{}"], with_body=with_body)
            return
        *repository, kind, reference = unquote(asked.path).removeprefix("/v2/").split("/")
        assert isinstance(self.server, Registry)
        images = self.server.images
        registry = parse_qs(asked.query).get("ns", [""])[0]
        login = images.logins.get(registry)
        if login is not None and login != logins.digest(self.headers.get("Authorization", "")):
            self._ask_for_login(with_body=with_body)
            return
        digest = reference
        if kind == "manifests" and not reference.startswith("sha256:"):
            digest = _manifest(images, registry, f"{'/'.join(repository)}:{reference}")
        if kind in ("manifests", "blobs") and digest in images.blobs:
            media = MANIFEST if kind == "manifests" else "application/octet-stream"
            self._answer(200, media, images.blobs[digest], digest=digest, with_body=with_body)
        else:
            self._refuse(with_body=with_body)

    def _ask_for_login(self, *, with_body: bool) -> None:
        said = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        body: list[Part] = [json.dumps(said).encode()]
        self._answer(401, "application/json", body, with_body=with_body, headers=LOGIN)

    def _refuse(self, *, with_body: bool) -> None:
        said = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "this cluster has no such image, and no internet"}]}
        self._answer(404, "application/json", [json.dumps(said).encode()], with_body=with_body)

    def _answer(
        self, status: int, media: str, parts: list[Part], *, digest: str = "", with_body: bool,
        headers: Mapping[str, str] = NONE,
    ) -> None:  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(size(parts)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            for block in blocks(parts):
                self.wfile.write(block)


def _manifest(images: Blobs, registry: str, name: str) -> str:
    """Digest of an image, "" where there is none; a private registry has what any other has."""
    if registry not in images.logins:
        return images.references.get(f"{registry}/{name}", "")
    return next((digest for known, digest in images.references.items() if known.partition("/")[2] == name), "")


def main() -> None:
    """Serve until killed."""
    Registry(("127.0.0.1", int(sys.argv[2])), Path(sys.argv[1])).serve_forever()


if __name__ == "__main__":
    main()
