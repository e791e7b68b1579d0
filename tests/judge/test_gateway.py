"""Judges of gateways: silent on healthy rows, and each lie is told with the rows concerned."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gpuassay.load.headers import DESTINATION, SERVED
from gpuassay.systems.llmd.acts.recording_server import canonical, digest
from gpuassay.systems.llmd.judge import gateway
from gpuassay.systems.llmd.rows import RequestRow
from tests.judge.routes import failed, row

SECOND = 1_000_000_000
ENDPOINTS = {"sim-0": "127.0.0.11:8000", "sim-1": "127.0.0.12:8001"}


def ended(index: int, seconds: float, **more: Any) -> RequestRow:
    """A row that took so long."""
    return replace(row(index, **more), end_ns=index * SECOND + round(seconds * 1e9))


# --- who served ------------------------------------------------------------------------------------------------------


def test_served_by_the_replica_of_the_label() -> None:
    """Red when a request that strayed, failed or was never asked goes unnoticed."""
    assert gateway.served_findings([row(0, "sim-0", "sim-0"), row(1, "sim-1", "sim-1")]) == []
    [finding] = gateway.served_findings([row(0, "sim-0", "sim-0"), row(1, "sim-1", "sim-0")])
    assert "#1 sim-1" in finding
    assert gateway.served_findings([failed(0, "sim-0")])
    assert gateway.served_findings([])


def test_served_by_one_of_those_allowed() -> None:
    """Red when a replica that is not allowed may serve."""
    rows = [row(0, served_by="sim-1"), row(1, served_by="sim-2")]
    assert gateway.served_findings(rows, ["sim-1", "sim-2"]) == []
    assert "#1" in gateway.served_findings(rows, ["sim-1"])[0]


def test_strayed() -> None:
    """Red when a request to an endpoint outside the pool goes unnoticed, or nothing was asked."""
    assert gateway.strayed_findings([row(0, served_by="sim-1"), failed(1)], "sim-0") == []
    assert "sim-0 served 1 of 2" in gateway.strayed_findings([row(0), row(1, served_by="sim-1")], "sim-0")[0]
    assert gateway.strayed_findings([], "sim-0")


@pytest.mark.parametrize("reported", [None, "127.0.0.12:8001", "fail: missing envoy lb metadata"])
def test_reported(reported: str | None) -> None:
    """Red when the picker is told nothing, another endpoint, or that there is nothing to tell."""
    good = row(0, headers={SERVED: "127.0.0.11:8000"})
    assert gateway.reported_findings([good], ENDPOINTS) == []
    bad = row(1, headers={} if reported is None else {SERVED: reported})
    assert f"reported {reported!r}" in gateway.reported_findings([good, bad], ENDPOINTS)[0]
    assert gateway.reported_findings([failed(0)], ENDPOINTS)


def picked(pod: str, *picks: str) -> dict[str, Any]:
    """A request that arrived with a list of picks."""
    return {"pod": pod, "headers": {DESTINATION: ",".join(ENDPOINTS[one] for one in picks)}}


def test_order_of_a_list() -> None:
    """Red when the second of a list serves, when there were no lists, or when all lists were alike."""
    good = [picked("sim-0", "sim-0", "sim-1"), picked("sim-1", "sim-1", "sim-0")]
    assert gateway.order_findings(good, ENDPOINTS, 2) == []
    bad = [*good, picked("sim-1", "sim-0", "sim-1")]
    assert "1 of 3 times another did" in gateway.order_findings(bad, ENDPOINTS, 2)[0]
    assert gateway.order_findings(good, ENDPOINTS, 3)
    assert gateway.order_findings([picked("sim-0", "sim-0"), picked("sim-1", "sim-1")], ENDPOINTS, 2)
    assert "whether order counts" in gateway.order_findings([good[0], good[0]], ENDPOINTS, 2)[0]


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_bytes() -> None:
    """Red when a byte or the status is another, or an answer was not asked for."""
    sent = {"odd": (200, digest(b"abc"))}
    assert gateway.bytes_findings([row(0, "odd", body=digest(b"abc"))], sent) == []
    assert gateway.bytes_findings([row(0, "odd", body=digest(b"abc "))], sent)
    assert gateway.bytes_findings([row(0, "odd", body=digest(b"abc"), status=500)], sent)
    assert "nothing was asked for odd" in gateway.bytes_findings([], sent)[0]


def test_arrived() -> None:
    """Red when a request is lost, doubled or changed; another spelling of the same JSON is none."""
    asked = row(7, sent={"body": digest(b'{"a": 1, "b": 2}'), "value": canonical(b'{"a": 1, "b": 2}')})
    there = {"label": "w#7", "value": canonical(b'{"b":2,"a":1}')}
    assert gateway.arrived_findings("w", [asked], [there]) == []
    assert "arrived 0 times" in gateway.arrived_findings("w", [asked], [])[0]
    assert "arrived 2 times" in gateway.arrived_findings("w", [asked], [there, there])[0]
    changed = there | {"value": canonical(b'{"b":2,"a":2}')}
    assert "sent JSON" in gateway.arrived_findings("w", [asked], [changed])[0]
    assert gateway.arrived_findings("w", [asked], [there | {"value": None}])
    assert gateway.arrived_findings("w", [], [there])


def test_buffering() -> None:
    """Red when a stream comes in one piece, is incomplete, or there is none."""
    spread = row(0, first_ns=SECOND, last_ns=SECOND + 580_000_000)
    assert gateway.buffering_findings([spread], 30, 0.02) == []
    at_once = row(1, first_ns=SECOND, last_ns=SECOND + 1_000)
    assert "shorter in 1" in gateway.buffering_findings([spread, at_once], 30, 0.02)[0]
    assert gateway.buffering_findings([spread, failed(1)], 30, 0.02)
    assert gateway.buffering_findings([], 30, 0.02)


# --- failures --------------------------------------------------------------------------------------------------------


def test_refused() -> None:
    """Red when a request is served, hangs, is refused late or by another status."""
    quick = replace(failed(0), end_ns=5_000_000)
    assert gateway.refused_findings([quick], 1) == []
    assert gateway.refused_findings([quick], 1, [500])
    assert gateway.refused_findings([replace(quick, end_ns=2 * SECOND)], 1)
    assert gateway.refused_findings([quick, ended(1, 0.01)], 1)
    assert gateway.refused_findings([ended(0, 4, status=None, error="timeout")], 9)
    assert gateway.refused_findings([], 1)


def test_unasked() -> None:
    """Red when a request fails, or the picker was asked all the same."""
    assert gateway.unasked_findings([row(0, headers={})]) == []
    assert gateway.unasked_findings([row(0, headers={}), row(1)])
    assert gateway.unasked_findings([failed(0)])
    assert gateway.unasked_findings([])


def test_hang() -> None:
    """Red when a request ends by the client's patience; a refusal is no hang."""
    assert gateway.hang_findings([row(0), failed(1)]) == []
    assert "1 of 2" in gateway.hang_findings([row(0), failed(1, error="timeout")])[0]
    assert gateway.hang_findings([])


def test_recovery() -> None:
    """Red when the first answer is late or never comes; what was before does not count."""
    early, late = ended(0, 0.1), ended(10, 0.5)
    attempts = [early, replace(failed(5), end_ns=5 * SECOND), late]
    assert gateway.recovery_seconds(attempts, 8 * SECOND) == 2.5
    assert gateway.recovery_findings(attempts, 8 * SECOND, 3) == []
    assert "after 2.5 s" in gateway.recovery_findings(attempts, 8 * SECOND, 2)[0]
    assert "there was none" in gateway.recovery_findings([early], 8 * SECOND, 2)[0]
    assert gateway.recovery_findings([], 0, 2)


def test_settled() -> None:
    """Red when a late failure goes unnoticed because of an early answer, or the end is a failure."""
    early, late = ended(0, 0.1), ended(10, 0.5)
    lost = replace(failed(5), end_ns=5 * SECOND)
    assert gateway.settled_seconds([early, lost, late], 2 * SECOND) == 3.0
    assert gateway.settled_seconds([early], 2 * SECOND) == 0.0
    assert gateway.settled_findings([early, lost, late], 2 * SECOND, 4) == []
    assert "after 3.0 s" in gateway.settled_findings([early, lost, late], 2 * SECOND, 2)[0]
    assert "to the end" in gateway.settled_findings([early, lost], 2 * SECOND, 9)[0]
    assert gateway.settled_findings([], 0, 2)


def test_cut() -> None:
    """Red when a cut stream lost its text, looks complete, hangs or is told late."""
    killed = 2 * SECOND
    good = replace(row(0, error="truncated"), end_ns=killed + SECOND // 10)
    assert gateway.cut_findings([good], killed, 1) == []
    assert "got nothing" in gateway.cut_findings([replace(good, first_ns=None)], killed, 1)[0]
    assert "got nothing" in gateway.cut_findings([replace(failed(0), end_ns=killed)], killed, 1)[0]
    assert "as if it were complete" in gateway.cut_findings([replace(good, error="")], killed, 1)[0]
    assert "3.0 s after" in gateway.cut_findings([replace(good, end_ns=killed + 3 * SECOND)], killed, 1)[0]
    assert gateway.cut_findings([replace(good, error="timeout")], killed, 1)
    assert gateway.cut_findings([], killed, 1)


def test_left() -> None:
    """Red when the model server is never told, told late, or the client did not leave."""
    gone = replace(row(3, error="left"), end_ns=4 * SECOND)
    told = {"label": "w#3", "left_ns": 5 * SECOND}
    assert gateway.left_findings([gone], [told], "w", 2) == []
    assert "[1.0]" in gateway.left_findings([gone], [told], "w", 0.5)[0]
    assert "[None]" in gateway.left_findings([gone], [{"label": "w#3"}], "w", 2)[0]
    assert "[1.0, None]" in gateway.left_findings([gone], [told, {"label": "w#3"}], "w", 2)[0]
    assert gateway.left_findings([gone], [], "w", 2)
    assert gateway.left_findings([replace(row(3), end_ns=4 * SECOND)], [told], "w", 2)
    assert gateway.left_findings([], [told], "w", 2)
