"""A Prometheus that is named is read over each measurement's time; a stand-in on the loopback plays it."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.session import activity
from gpuassay.session.options import PROMETHEUS_TOKEN, _base_url  # pyright: ignore[reportPrivateUsage]
from gpuassay.stats.activity import FIGURES

START, END = 1_800_000_000.0, 1_800_000_120.0
Answer = Callable[[dict[str, str]], tuple[int, object]]


@contextmanager
def prometheus(answer: Answer) -> Generator[tuple[str, list[dict[str, str]]]]:
    """A stand-in: its address, and what it was asked (query, start, end, step, and the token)."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked.append({**query, "path": parts.path, "token": self.headers.get("authorization", "")})
            status, body = answer(query)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def dcgm(query: dict[str, str]) -> tuple[int, object]:
    """Two GPUs whose tensor cores are 40 % and 20 % active, looked at 5 s before each moment; nothing else is known."""
    moments = [float(query["start"]) + number * float(query["step"]) for number in range(9)]
    moments = [at for at in moments if at <= float(query["end"])]
    result: list[object] = []
    if "TENSOR" in query["query"]:
        for gpu, value in (("0", 0.4), ("1", 0.2)):
            told = [[at, str(at - 5 if "timestamp" in query["query"] else value)] for at in moments]
            name = {} if "timestamp" in query["query"] else {"__name__": "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"}
            result.append({"metric": {**name, "gpu": gpu}, "values": told})
    return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}


def recorded(run_dir: Path) -> None:
    meta = RecordingMeta(scenario="s", started_ns=int(START * 1e9), ended_ns=int(END * 1e9), outcome="ok")
    write_recording(run_dir / "recordings" / "s", meta)


def test_a_scenarios_time_is_asked_for_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when another time is asked for, a figure is of other samples, or the token is not sent."""
    monkeypatch.setenv(PROMETHEUS_TOKEN, "word")
    recorded(tmp_path)
    with prometheus(dcgm) as (base, asked):
        found = activity.exhibit(base, activity.windows(tmp_path, ["s", "never-recorded"]))
    rows = {row[1]: row[2:] for row in found["rows"]}
    assert list(rows) == [figure.title for figure in FIGURES]
    assert rows["tensor cores active, %"] == [2, 30.0, 40.0, 100, 5.0]
    assert rows["GPU busy, %"] == [0, None, None, 0, None]
    assert {one["path"] for one in asked} == {"/api/v1/query_range"} and {one["token"] for one in asked} == {
        "Bearer word"
    }
    assert all(float(one["start"]) == START and float(one["end"]) <= END for one in asked)
    assert "word" not in json.dumps(found)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"status": "error", "error": "who are you"}), "gives no ranges: HTTP status 401 who are you"),
        ((200, ["no", "prometheus"]), "gives no ranges: HTTP status 200"),
        ((200, {"status": "success", "data": "none"}), "gives no ranges: HTTP status 200"),
    ],
)
def test_one_that_cannot_be_asked_is_told_and_costs_no_verdict(
    tmp_path: Path, answer: tuple[int, object], says: str
) -> None:
    recorded(tmp_path)
    with prometheus(lambda _: answer) as (base, _):
        found = activity.exhibit(base, activity.windows(tmp_path, ["s"]))
    assert found["rows"] == [] and says in found["notes"][-1]


def test_nobody_there_is_told(tmp_path: Path) -> None:
    recorded(tmp_path)
    found = activity.exhibit("http://127.0.0.1:1", activity.windows(tmp_path, ["s"]))
    assert found["rows"] == [] and found["notes"][-1].startswith("Not all could be asked: http://127.0.0.1:1")


@pytest.mark.parametrize("word", ["", "127.0.0.1:9090", "ftp://x", "http://", "http://x?query=up", "http://me:pw@x"])
def test_an_address_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        _base_url(word)
    assert "pw" not in str(refused.value)
    assert _base_url("https://prom.example/base/") == "https://prom.example/base"
