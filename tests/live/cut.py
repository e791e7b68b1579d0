"""A way to an API server that can be cut: connections through it end, and new ones are refused."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from gpuassay.cluster.kubeconfig import server_of

CHUNK = 65536


class Way(socketserver.ThreadingTCPServer):
    """Carries connections to an address of this machine, until it is cut."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, to: tuple[str, int]) -> None:
        """Listens on a port of its own."""
        self.to, self.up = to, threading.Event()
        self.up.set()
        super().__init__(("127.0.0.1", 0), _Carried)

    def cut_for(self, seconds: float) -> threading.Timer:
        """Cut it now, and mend it later."""
        self.up.clear()
        mend = threading.Timer(seconds, self.up.set)
        mend.start()
        return mend


class _Carried(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        way = self.server
        assert isinstance(way, Way)
        if not way.up.is_set():
            return
        with suppress(OSError), socket.create_connection(way.to, timeout=5) as far:
            ends = {self.request: far, far: self.request}
            while way.up.is_set():
                ready, _, _ = select.select(list(ends), [], [], 0.2)
                for one in ready:
                    data = one.recv(CHUNK)
                    if not data:
                        return
                    ends[one].sendall(data)


@contextmanager
def way_to(kubeconfig: Path, folder: Path) -> Generator[tuple[Way, Path]]:
    """A way, and a kubeconfig that goes by it."""
    server = server_of(kubeconfig)
    parts = urlsplit(server)
    assert parts.hostname and parts.port
    way = Way((parts.hostname, parts.port))
    threading.Thread(target=way.serve_forever, daemon=True).start()
    file = folder / "kubeconfig-by-the-way"
    file.write_text(kubeconfig.read_text().replace(server, f"https://127.0.0.1:{way.server_address[1]}"))
    file.chmod(0o600)
    try:
        yield way, file
    finally:
        way.shutdown()
        way.server_close()
