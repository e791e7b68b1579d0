"""What goes wrong around a load: half-closed streams, clocks that jump, too few file handles, TLS, credentials."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import trustme

from gpuassay.load import rows as rows_module
from gpuassay.load.credentials import TOKEN
from gpuassay.load.engine import carry_out
from gpuassay.load.errors import LoadError
from gpuassay.load.figures import figures
from tests.load.servers import DONE, chunked, fixed, plan_for, serving, stream, token
from tests.scenario.test_gateway_check import behind_tls

ROOT = Path(__file__).parents[2]
GOOD = stream(token(), token(), DONE)


def test_a_stream_that_the_server_half_closes_is_truncated_at_once() -> None:
    """Red when a server that has ended its half and reads on leaves the request waiting for its time-out."""

    def talk(sock: socket.socket, _: int) -> bool:
        sock.sendall(chunked(token(), token()))
        sock.shutdown(socket.SHUT_WR)  # it still reads: the connection is open the other way
        sock.settimeout(8)
        return bool(sock.recv(1))

    with serving(talk) as (url, _):
        row = carry_out(plan_for(url, 1, timeout=8.0)).rows[0]
    assert (row.error, row.end_ns - row.start_ns < 6e9) == ("truncated", True), row


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_changes_no_duration(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a time of a row comes from a clock that can be set."""
    real, calls = time.time_ns, [0]

    def jumping() -> int:
        calls[0] += 1
        return real() + round(jump * 1e9) * calls[0]

    monkeypatch.setattr(time, "time_ns", jumping)
    monkeypatch.setattr(time, "time", lambda: jumping() / 1e9)
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, _):
        result = carry_out(plan_for(url, 4, 2))
    assert calls[0] > 0
    assert all(0 < row.start_ns <= row.end_ns < row.start_ns + 60e9 for row in result.rows)
    ttft = figures(result).ttft
    assert ttft is not None and 0 < ttft.p50 < 60_000


def test_shards_of_one_machine_are_not_moved_by_a_clock_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the wall clocks of two processes on one machine decide where their rows lie in time."""
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, _):
        first = carry_out(plan_for(url, 4, 2), (0, 2))
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600_000_000_000)
        second = carry_out(plan_for(url, 4, 2), (1, 2))
    merged = rows_module.merge([first, second])
    assert [row.start_ns for row in merged.rows if row.index % 2] == [row.start_ns for row in second.rows]


def test_more_streams_than_the_systems_file_handles_is_one_line(tmp_path: Path) -> None:
    """Red when the real limit of open files is met by failing connections, thousands of rows later."""
    (tmp_path / "plan.json").write_bytes(plan_for("http://127.0.0.1:1", 300, 200).to_json())
    ended = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 128; exec "$@"', "sh", sys.executable, "-m", "gpuassay.load",
         str(tmp_path / "plan.json"), str(tmp_path / "out.jsonl")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert (
        "264 file handles are needed, the hard limit is 128; raise it (ulimit -Hn) or use more shards" in ended.stderr
    )


def test_a_certificate_that_is_not_trusted_is_one_line() -> None:
    """Red when TLS that is not trusted reads as a dead server."""
    with behind_tls(trustme.CA().issue_cert("127.0.0.1")) as url:
        with pytest.raises(LoadError, match=r"TLS is not trusted: .*SSL_CERT_FILE, or set verify_tls to false"):
            carry_out(plan_for(url, 1))
        with pytest.raises(LoadError, match="model 'm' is unknown; the server has none"):
            carry_out(plan_for(url, 1, verify_tls=False))


def test_the_token_goes_with_every_request_and_into_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a gateway with credentials cannot be asked, or the secret is in the plan or in rows."""
    monkeypatch.setenv(TOKEN, "s3cret")
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, told):
        plan = plan_for(url, 2)
        result = carry_out(plan)
    assert all("authorization: bearer s3cret" in head for _, head, _ in told.requests)
    assert b"s3cret" not in plan.to_json() + rows_module.encode_result(result)
    monkeypatch.setenv(TOKEN, "two words")
    with pytest.raises(LoadError, match="no spaces") as caught:
        carry_out(plan_for(url, 1))
    assert "two" not in str(caught.value)


def test_credentials_that_are_refused_are_one_line() -> None:
    """Red when 401 reads as a server that is not OpenAI-like."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(fixed(b"", status="401 Unauthorized", more="connection: close\r\n"))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(LoadError, match=f"answers 401: put a bearer token that it accepts into {TOKEN}"):
            carry_out(plan_for(f"http://127.0.0.1:{listener.getsockname()[1]}", 1))
        thread.join(5)
