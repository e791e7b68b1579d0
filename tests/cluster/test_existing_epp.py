"""Somebody's picker is reached in plain text, through TLS with a certificate of nobody, or not at all: one line."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.existing.addresses import parts_of
from gpuassay.systems.llmd.existing.epp import reached, speaks_tls


@contextmanager
def echoing(folder: Path | None) -> Generator[str]:
    """A server that says everything back, behind TLS where a folder for its certificate is given."""
    context = None
    if folder is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("nobody.example").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) if context else plain as sock:
                while data := sock.recv(65536):
                    sock.sendall(data)
        except OSError:
            plain.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def said_back(target: str, data: bytes) -> bytes:
    with socket.create_connection(parts_of(target), 5) as sock:
        sock.sendall(data)
        found = b""
        while len(found) < len(data):
            found += sock.recv(65536)
    return found


def test_a_picker_behind_tls_is_reached_through_a_relay(tmp_path: Path) -> None:
    """Red when a picker with a certificate of its own cannot be asked, or the relay loses or mixes bytes."""
    with echoing(tmp_path) as target, reached(target) as at:
        assert at != target
        assert [said_back(at, bytes([number]) * 300_000) for number in range(3)] == [
            bytes([number]) * 300_000 for number in range(3)
        ]


def test_a_picker_in_plain_text_is_asked_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a relay stands before a picker that needs none, or plain text hangs the look at TLS."""
    monkeypatch.setattr("gpuassay.systems.llmd.existing.epp.SECONDS", 1.0)
    with echoing(None) as target, reached(target) as at:
        assert at == target


def test_a_picker_that_is_not_there_is_one_line() -> None:
    """Red when a wrong port is a traceback, or many failed behaviours."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ClusterError, match="refused; check that the picker's gRPC port is reached") as caught:
            speaks_tls(f"127.0.0.1:{nobody.getsockname()[1]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", ["picker", "picker:", ":9002", "picker:0", "picker:99999", "http://picker:9002", "a b:1"]
)
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    """Red when something else than HOST:PORT is taken for one."""
    with pytest.raises(ValueError, match="is not of the form HOST:PORT"):
        parts_of(bad)
    assert parts_of("[::1]:9002") == ("::1", 9002) and parts_of("picker:9002") == ("picker", 9002)
