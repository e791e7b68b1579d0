"""A small API server on loopback: lists, chunked watch streams, and every way in which they fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gpuassay.manifest import Manifest

PATH = "/api/v1/pods"


def pod(name: str, rv: int, spec: Manifest) -> Manifest:
    """A pod as an API server sends it."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "ns-a",
            "uid": f"uid-{name}",
            "resourceVersion": str(rv),
            "managedFields": [{"manager": "m"}],
        },
        "spec": spec,
    }


@dataclass
class FakeApi:
    """State and log of the server.

    Attributes:
        objects: what a list returns, by uid.
        history: watch lines (version, raw line) kept for resumption.
        oldest: versions below answer 410.
        served: whether the API exists (else 404).
        watches: resourceVersion of every watch opened, in order.
    """

    url: str = ""
    objects: dict[str, Manifest] = field(default_factory=dict[str, Manifest])
    history: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    version: int = 1
    oldest: int = 0
    served: bool = True
    status: int = 200
    watches: list[int] = field(default_factory=list[int])
    lists: int = 0
    page: int = 1000
    asked_404: int = 0
    epoch: int = 0
    closing: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, change: str, name: str, **spec: object) -> Manifest:
        """Create, change or delete a pod and send the event to all watches."""
        with self.changed:
            self.version += 1
            obj = pod(name, self.version, spec)
            if change == "DELETED":
                self.objects.pop(obj["metadata"]["uid"], None)
            else:
                self.objects[obj["metadata"]["uid"]] = obj
            self._send(change, obj)
            return obj

    def bookmark(self, version: int) -> None:
        """Move the version without a change."""
        with self.changed:
            self.version = version
            self._send("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})

    def _send(self, change: str, obj: Manifest) -> None:
        line = json.dumps({"type": change, "object": obj}, separators=(",", ":")).encode() + b"\n"
        self.history.append((int(obj["metadata"]["resourceVersion"]), line))
        self.changed.notify_all()

    def cut(self) -> None:
        """End every open watch, as a server may do at any time."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    def forget_history(self) -> None:
        """Answer 410 to every version up to now."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()

    def close(self) -> None:
        """End everything."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def do_GET(self) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            if urlsplit(self.path).path != PATH or not api.served:
                api.asked_404 += 1
                self._json(404, {"kind": "Status", "code": 404})
            elif api.status != 200:
                self._json(api.status, {"kind": "Status", "code": api.status})
            elif "watch" in query:
                self._watch(int(query["resourceVersion"]))
            else:
                self._list(int(query.get("continue", "0")))

        def _json(self, status: int, body: Manifest) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _list(self, start: int) -> None:
            with api.changed:
                api.lists += 1
                chosen = list(api.objects.values())
                items = [{k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in chosen]
                end = start + api.page
                more = {"continue": str(end)} if end < len(items) else {}
                metadata = {"resourceVersion": str(api.version), **more}
            self._json(200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items[start:end]})

        def _watch(self, version: int) -> None:
            with api.changed:
                api.watches.append(version)
                api.changed.notify_all()
                epoch = api.epoch
                if version < api.oldest:
                    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                    line = json.dumps({"type": "ERROR", "object": gone}, separators=(",", ":")).encode() + b"\n"
                    pending = [(0, line)]
                else:
                    pending = None
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if pending is not None:
                self._chunk(pending[0][1])
                self._chunk(b"")
                return
            sent = version
            while True:
                with api.changed:
                    while not (api.closing or api.epoch != epoch or any(rv > sent for rv, _ in api.history)):
                        api.changed.wait()
                    lines = [line for rv, line in api.history if rv > sent]
                    sent = max([sent, *(rv for rv, _ in api.history)])
                    over = api.closing or api.epoch != epoch
                try:
                    for line in lines:
                        # in two pieces: a line may arrive in any number of reads
                        self._chunk(line[:7])
                        self._chunk(line[7:])
                    if over:
                        self._chunk(b"")
                        return
                except OSError:
                    return

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    return Handler


@contextmanager
def fake_api() -> Generator[FakeApi]:
    """A running server; ends with the block."""
    api = FakeApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.close()
        server.shutdown()
        server.server_close()
        thread.join(5)


def kubeconfig(api: FakeApi, folder: Path) -> Path:
    """A kubeconfig for the server, with a token."""
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(document))
    return path
