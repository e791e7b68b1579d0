"""The recorder goes where the client goes, and a run does not begin before it has listed once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gpuassay.record.process import live_recorder
from gpuassay.record.resources import RecorderError, Resource
from tests.access.apiserver import GOOD, Answer, Asked, Server, config, written
from tests.access.test_plugins import program, user

NEEDED = (Resource("Namespace", "/api/v1/namespaces"), Resource("Pod", "/api/v1/pods"))


def failed(kubeconfig: Path, spool: Path, seconds: float = 20) -> str:
    opened = live_recorder(kubeconfig, spool, resources=NEEDED, sync_seconds=seconds)
    with pytest.raises(RecorderError) as error, opened:
        pytest.fail("a view without its first list")
    assert "S3CRET" not in str(error.value) and "S3CRET" not in (spool / "recorder.log").read_text()
    return str(error.value)


def test_a_plugin_an_authority_and_several_files(tmp_path: Path, server: Server) -> None:
    told = config(server, user(program(tmp_path, f'say({{"token": "{GOOD}"}})')))
    users = written(tmp_path, {"users": told.pop("users")}, "users")
    with live_recorder(f"{users}:{written(tmp_path, told)}", tmp_path / "spool", resources=NEEDED) as view:
        assert view.synced(["Namespace", "Pod"])


def test_the_first_lists_are_waited_for(tmp_path: Path, server: Server) -> None:
    """Red when a scenario can begin while the view knows of nothing."""
    asked, go = threading.Event(), threading.Event()

    def slow(one: Asked) -> None:
        if "watch" not in one.path:
            asked.set()
            go.wait(20)

    server.answer = slow
    helper = threading.Thread(target=lambda: (asked.wait(20), go.set()))
    helper.start()
    with live_recorder(written(tmp_path, config(server)), tmp_path / "spool", resources=NEEDED) as view:
        assert go.is_set() and view.synced(["Namespace", "Pod"])
    helper.join()


@pytest.mark.parametrize(("user", "words"), [({"token": "S3CRET-token"}, "HTTP 401"), ({}, "HTTP 403")])
def test_a_refusal_ends_the_wait_at_once(tmp_path: Path, server: Server, user: object, words: str) -> None:
    assert words in failed(written(tmp_path, config(server, user)), tmp_path / "spool")


LATE: dict[str, tuple[str, Answer | None, str]] = {
    "nobody there": ("https://127.0.0.1:1", None, "connection refused by 127.0.0.1:1"),
    "no name": ("https://no.invalid:1", None, "the name 'no.invalid' cannot be resolved"),
    "login page": ("", (200, "text/html", "<html>log in</html>"), "is answered with no list: <html>log in</html>"),
    "redirect": ("", (302, "text/html", ""), "HTTP 302"),
    "overload": ("", (503, "text/plain", "busy"), "HTTP 503 busy"),
}


@pytest.mark.parametrize("case", LATE)
def test_why_there_is_no_first_list_is_told(tmp_path: Path, server: Server, case: str) -> None:
    """Red when the reason stands in recorder.log only."""
    address, answer, words = LATE[case]
    server.answer = lambda _: answer
    said = failed(written(tmp_path, config(server, server=address or server.url)), tmp_path / "spool", 4)
    assert "could not list Namespace, Pod within 4 s: " in said and words in said


def test_a_kubeconfig_or_plugin_that_is_none_is_told(tmp_path: Path, server: Server) -> None:
    assert failed(tmp_path / "absent", tmp_path / "a").endswith("absent does not exist")
    told = config(server, user(program(tmp_path, 'sys.exit("log in first")')))
    assert "failed (exit code 1): log in first" in failed(written(tmp_path, told), tmp_path / "b")
    said = failed(written(tmp_path, config(server, {"token": "S3CRET one"})), tmp_path / "c")
    assert "holds characters that no token has" in said


def test_a_token_that_is_rotated_keeps_the_watches(tmp_path: Path, server: Server) -> None:
    (tmp_path / "token").write_text(GOOD)
    path = written(tmp_path, config(server, {"tokenFile": "token"}))
    with live_recorder(path, tmp_path / "spool", resources=NEEDED) as view:
        before = len(server.asked)
        server.accepts = {GOOD, "newer-token"}  # a token is good for a while after the next one is written
        (tmp_path / "token").write_text("newer-token")
        server.accepts = {"newer-token"}
        server.release.set()
        view.wait(lambda _: len(server.asked) > before + 4, what="further watches")
        view.check()
