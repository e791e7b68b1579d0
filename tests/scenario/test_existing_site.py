"""Who served an answer of somebody's gateway that does not say so, and how long events take to arrive there."""

from __future__ import annotations

import json
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.existing import deployment as existing_site
from gpuassay.systems.llmd.existing.deployment import OutsideSite, borrowed
from gpuassay.systems.llmd.judge.routing import direct_warm, stickiness_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set
from tests.load.servers import fixed, serving

ANSWER = b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}'


class Counting:
    """A model server that counts what it has finished, and remembers what it was warmed with."""

    def __init__(self, name: str, counter: str = "vllm:request_success_total", port: int = 8000) -> None:
        self.name, self.counter, self.port = name, counter, port
        self.finished, self.warmed = 0.0, set[str]()

    def metrics(self) -> list[dict[str, Any]]:
        return [{"at": 1, "name": self.counter, "labels": {}, "value": self.finished}]

    def complete(self, prompt: str) -> None:
        self.warmed.add(prompt)


def site_at(url: str, replicas: list[Counting]) -> OutsideSite:
    lab: Any = SimpleNamespace(
        rows=defaultdict[Any, Any](list).__getitem__, mutant=None, token="t", notes={}, gateway=object()
    )
    lab.note = lab.notes.update
    routing: Any = SimpleNamespace(url=url, model="m", replicas=replicas, forwarder=None)
    return OutsideSite(lab, routing, headers={"authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("moves", "served"), [([1.0, 0.0], "a"), ([0.0, 1.0], "b"), ([1.0, 1.0], None), ([2.0, 0.0], None)]
)
def test_the_one_whose_count_has_grown_by_one_has_served(moves: list[float], served: str | None) -> None:
    """Red when an answer is given to a model server that did not give it, or to one of several that may have."""
    replicas = [Counting("a"), Counting("b")]

    def talk(sock: Any, _: int) -> None:
        for replica, by in zip(replicas, moves, strict=True):
            replica.finished += by
        sock.sendall(fixed(ANSWER))

    with serving(talk) as (url, told):
        [row] = site_at(url, replicas).ask("wave", prompt_set([2]))
    assert (row["served_by"], row["status"], row["prompt_tokens"]) == (served, 200, 2)
    assert "authorization: bearer x" in told.requests[0][1]


@pytest.mark.parametrize(
    "counter",
    [
        "vllm:request_success",
        "sglang:num_requests_total",
        "trtllm_request_success_total",
        "request_success_total",
        "nv_inference_request_success",
    ],
)
def test_every_engine_tells_who_served(counter: str) -> None:
    """Red when finished requests are looked up under vLLM's name alone."""
    replicas = [Counting("a", counter), Counting("b", counter)]

    def talk(sock: Any, _: int) -> None:
        replicas[1].finished += 1
        sock.sendall(fixed(ANSWER))

    with serving(talk) as (url, _):
        rows = site_at(url, replicas).ask("wave", prompt_set([2, 2]))
    assert [row["served_by"] for row in rows] == ["b", "b"] and not any("untold" in row for row in rows)


@pytest.mark.parametrize(
    ("counter", "moves", "words"),
    [
        ("go_goroutines", 0.0, "model server b is of no engine that is known"),
        (
            "llamacpp:requests_processing",
            1.0,
            "model server b is of llama.cpp: this engine counts no finished requests",
        ),
        ("vllm:request_success_total", float("nan"), "of model server b has no value: its page says NaN"),
        ("vllm:request_success_total", 2.0, "moved at b by 2: somebody else asks as well, or a server restarted"),
        ("vllm:request_success_total", -1.0, "moved at b by -1: somebody else asks as well, or a server restarted"),
    ],
)
def test_where_it_cannot_be_told_who_served_the_router_is_not_to_blame(counter: str, moves: float, words: str) -> None:
    """Red when a router fails a test, or passes it, because nothing tells which model server answered."""
    replicas = [Counting("a"), Counting("b", counter)]
    if moves != moves:
        replicas[1].finished = moves

    def talk(sock: Any, _: int) -> None:
        replicas[1].finished += moves
        sock.sendall(fixed(ANSWER))

    with serving(talk) as (url, _):
        rows = site_at(url, replicas).ask("wave", prompt_set([2]))
    assert rows[0]["served_by"] is None
    told = f"who served 1 requests cannot be told from outside: no answer names its model server .*{words}"
    with pytest.raises(LookupError, match=told):
        stickiness_findings(rows)
    with pytest.raises(LookupError, match=told):
        direct_warm(rows, {rows[0]["label"]: "a"}, 2)


def test_every_port_of_a_pod_is_a_server() -> None:
    """Red when one of several model servers in a Pod overwrites the counters of another."""
    replicas = [Counting("a"), Counting("b", port=8000), Counting("b", port=8001)]

    def talk(sock: Any, _: int) -> None:
        replicas[1].finished += 1
        sock.sendall(fixed(ANSWER))

    with serving(talk) as (url, _):
        site = site_at(url, replicas)
        assert [row["served_by"] for row in site.ask("wave", prompt_set([2]))] == ["b"]
    site.lab.samples = []
    site.scrape("after")
    assert [(row["source"], row["value"]) for row in site.lab.samples] == [("a", 0), ("b:8000", 1), ("b:8001", 0)]


def test_an_answer_that_says_who_served_is_believed_and_counters_are_left_alone() -> None:
    """Red when the server's own word is not taken, or every request costs a scrape of all servers."""
    replicas = [Counting("a")]
    with serving(lambda sock, _: sock.sendall(fixed(ANSWER, more="x-inference-pod: zed\r\n"))) as (url, _):
        site = site_at(url, replicas)
        assert [row["served_by"] for row in site.ask("wave", prompt_set([2, 2]))] == ["zed", "zed"]
    assert site.named


@pytest.mark.parametrize(("knows_after", "expected"), [(0, 0.0), (1, 0.2), (99, 3.0)])
def test_the_shortest_time_that_suffices_is_waited(
    knows_after: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when slow events are taken for a picker that knows nothing, or everybody waits the longest time."""
    waited: list[float] = []
    monkeypatch.setattr(existing_site.time, "sleep", waited.append)
    replicas = [Counting("a"), Counting("b")]

    def talk(sock: Any, _: int) -> None:
        sock.sendall(fixed(ANSWER, more=f"x-inference-pod: {finder()}\r\n"))

    asked: list[str] = []

    def finder() -> str:
        prompt = json.loads(told.requests[-1][2])["prompt"]
        asked.append(prompt)
        right = next(one.name for one in replicas if prompt in one.warmed)
        return right if len(waited) > knows_after else "nobody"

    with serving(talk) as (url, told):
        site = site_at(url, replicas)
        site.learn_lag()
    assert site.lag == expected == waited[-1] and site.lab.notes["event_lag_seconds"] == expected
    assert len(asked) == len(set(asked)), "a probe was asked twice: its answer says nothing"


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (Arm(profile="random"), "arm random is asked for, the gateway is said to be precise"),
        (Arm(gateway=None), "goes past the gateway"),
        (Arm(change_picker=lambda _: None), "changes picker or gateway"),
    ],
)
def test_an_arm_that_the_gateway_is_not_is_a_typed_skip(arm: Arm, words: str) -> None:
    """Red when a scenario of another arm is judged at a gateway that never claimed to be one."""
    gateway: Any = SimpleNamespace(arm=Arm(), verify_tls=True, headers={}, manifest={}, replicas=[])
    lab: Any = SimpleNamespace()
    with pytest.raises(NotFromOutside, match=words), borrowed(lab, gateway, arm):
        pass
