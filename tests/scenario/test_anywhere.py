"""Acts that need a gateway's requests alone: streams that are left, sessions that are given, models that answer."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from gpuassay.systems.llmd.acts.anywhere import SESSION, leave, model_named, session_of, session_token
from gpuassay.systems.llmd.objects.prompts import synthetic
from tests.load.servers import chunked, fixed, serving, token
from tests.scenario.test_existing_site import Counting, site_at

PROMPT = synthetic("one", 3)


def test_streams_are_left_once_all_of_them_run() -> None:
    """Red when clients leave before the others have begun, or stay on, or the rest of a stream is not reckoned."""
    gone = threading.Semaphore(0)

    def talk(sock: socket.socket, _: int) -> bool:
        sock.sendall(chunked(*[token()] * 12))
        sock.settimeout(10)
        if not sock.recv(1):  # the client has hung up
            gone.release()
        return False

    seen: list[int] = []
    with serving(talk) as (url, told):
        site = site_at(url, [Counting("a")])
        found = leave(site, 4, 512, 12, lambda: seen.append(told.most))
        assert all(gone.acquire(timeout=5) for _ in range(4))
    assert (found.begun, seen) == (4, [4]) and found.tokens_per_second > 10
    assert json.loads(told.requests[0][2])["stream"] is True


def test_streams_that_are_refused_have_not_begun() -> None:
    """Red when a gateway that streams nothing passes as one that frees every slot."""
    with serving(lambda sock, _: sock.sendall(fixed(b"no", status="503 Service Unavailable"))) as (url, _):
        assert leave(site_at(url, [Counting("a")]), 2, 512, 12, lambda: None).begun == 0


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("x-session-token: abc\r\n", {SESSION: "abc"}),
        ("set-cookie: a=1; Path=/; HttpOnly\r\nset-cookie: b=2\r\n", {"cookie": "a=1; b=2"}),
        ("", {}),
    ],
)
def test_what_a_gateway_gives_its_client_is_sent_again(head: str, expected: dict[str, str]) -> None:
    """Red when a cookie's attributes are sent back, one of several is lost, or a session is made up."""
    with serving(lambda sock, _: sock.sendall(fixed(b"{}", more=f"x-inference-pod: zed\r\n{head}"))) as (url, _):
        assert session_of(site_at(url, [Counting("a")]), PROMPT) == ("zed", expected)
    assert session_token("ns", "pod") == "bnMvcG9k"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (fixed(b'{"model":"other"}'), (200, "other")),
        (fixed(b"who?", status="404 Not Found"), (404, "")),
        (fixed(b"[]"), (200, "")),
    ],
)
def test_a_model_is_asked_by_its_name(answer: bytes, expected: tuple[int, str]) -> None:
    """Red when another model than the named one is asked, or an answer without one is a traceback."""
    with serving(lambda sock, _: sock.sendall(answer)) as (url, told):
        site: Any = site_at(url, [Counting("a")])
        assert model_named(site, PROMPT, "n") == expected
    assert json.loads(told.requests[0][2])["model"] == "n"
