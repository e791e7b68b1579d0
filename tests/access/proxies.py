"""HTTP and SOCKS5 proxies on loopback; whatever name they are asked for, they lead to one port."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        target: the port of loopback that everything leads to.
        login: value of Proxy-Authorization that is asked for, or name:password of SOCKS.
        names: what it was asked for.
    """

    target: int
    login: str = ""
    port: int = 0
    names: list[str] = field(default_factory=list[str])


def _pipe(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for side in (one, other):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _lead(client: socket.socket, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_pipe, args=(server, client), daemon=True)
        back.start()
        _pipe(client, server)
        back.join(5)


def _http(proxy: Proxy) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline().decode()
            headers: dict[str, str] = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            proxy.names.append(first.split()[1])
            if proxy.login and headers.get("proxy-authorization") != proxy.login:
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _lead(self.connection, proxy.target)

    return Handler


def _socks(proxy: Proxy) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            methods = self.rfile.read(self.rfile.read(2)[1])
            if proxy.login:
                if 2 not in methods:
                    self.wfile.write(b"\x05\xff")
                    return
                self.wfile.write(b"\x05\x02")
                name = self.rfile.read(self.rfile.read(2)[1]).decode()
                password = self.rfile.read(self.rfile.read(1)[0]).decode()
                good = f"{name}:{password}" == proxy.login
                self.wfile.write(b"\x01\x00" if good else b"\x01\x01")
                if not good:
                    return
            else:
                self.wfile.write(b"\x05\x00")
            kind = self.rfile.read(4)[3]
            name = self.rfile.read(self.rfile.read(1)[0]) if kind == 3 else self.rfile.read(4)
            self.rfile.read(2)
            proxy.names.append(name.decode() if kind == 3 else socket.inet_ntoa(name))
            self.wfile.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            _lead(self.connection, proxy.target)

    return Handler


@contextmanager
def proxying(target: int, *, socks: bool = False, login: str = "") -> Generator[Proxy]:
    """A proxy before a port of loopback."""
    proxy = Proxy(target, login)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), (_socks if socks else _http)(proxy))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    proxy.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
