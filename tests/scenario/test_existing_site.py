"""Who served an answer of somebody's gateway that does not say so, and how long events take to arrive there."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import to_builtins

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.systems.llmd.acts.deployment import Deployment
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.existing import deployment as existing_site
from gpuassay.systems.llmd.existing.deployment import OutsideSite, borrowed
from gpuassay.systems.llmd.judge.routing import direct_warm, stickiness_findings
from gpuassay.systems.llmd.notes import EVENT_LAG
from gpuassay.systems.llmd.objects.prompt_files import read_prompts
from gpuassay.systems.llmd.objects.prompts import Prompt, prompt_set
from gpuassay.systems.llmd.objects.tokens import chat_text, count
from gpuassay.systems.llmd.readings import RoutingRecording
from tests.load.servers import DONE, fixed, serving, stream, token
from tests.noting import Noting

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
    lab: Any = Noting()
    lab.rows = defaultdict[Any, Any](list).__getitem__
    lab.mutant, lab.token, lab.gateway = None, "t", object()
    routing: Any = SimpleNamespace(
        url=url, model="m", replicas=replicas, forwarder=None, at_hand=True, inside=str
    )  # fmt: skip
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
    assert (row.served_by, row.status, row.prompt_tokens) == (served, 200, 2)
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
    assert [row.served_by for row in rows] == ["b", "b"] and not any(row.untold for row in rows)


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
    assert rows[0].served_by is None
    told = f"who served 1 requests cannot be told from outside: no answer names its model server .*{words}"
    with pytest.raises(LookupError, match=told):
        stickiness_findings(rows)
    with pytest.raises(LookupError, match=told):
        direct_warm(rows, {rows[0].label: "a"}, 2)


def test_every_port_of_a_pod_is_a_server() -> None:
    """Red when one of several model servers in a Pod overwrites the counters of another."""
    replicas = [Counting("a"), Counting("b", port=8000), Counting("b", port=8001)]

    def talk(sock: Any, _: int) -> None:
        replicas[1].finished += 1
        sock.sendall(fixed(ANSWER))

    with serving(talk) as (url, _):
        site = site_at(url, replicas)
        assert [row.served_by for row in site.ask("wave", prompt_set([2]))] == ["b"]
    site.lab.samples = []
    site.scrape("after")
    assert [(row["source"], row["value"]) for row in site.lab.samples] == [("a", 0), ("b:8000", 1), ("b:8001", 0)]


def test_an_answer_that_says_who_served_is_believed_and_counters_are_left_alone() -> None:
    """Red when the server's own word is not taken, or every request costs a scrape of all servers."""
    replicas = [Counting("a")]
    with serving(lambda sock, _: sock.sendall(fixed(ANSWER, more="x-inference-pod: zed\r\n"))) as (url, _):
        site = site_at(url, replicas)
        assert [row.served_by for row in site.ask("wave", prompt_set([2, 2]))] == ["zed", "zed"]
    assert site.named


def test_a_usage_that_is_none_leaves_a_row_that_can_be_read() -> None:
    """Red when a server's odd usage is recorded as it stands, so that the recording cannot be judged."""
    odd = b'{"usage":{"prompt_tokens":"2","completion_tokens":[1],"prompt_tokens_details":{"cached_tokens":"1"}}}'
    for answer in (odd, b'{"usage":[]}', b"[]"):
        with serving(lambda sock, _, answer=answer: sock.sendall(fixed(answer, more="x-inference-pod: zed\r\n"))) as at:
            [row] = site_at(at[0], [Counting("a")]).ask("wave", prompt_set([2]))
        assert (row.ok, row.prompt_tokens, row.cached_tokens, row.tokens) == (True, None, 0, None)
        assert RoutingRecording.of_parts(requests=[to_builtins(row)]).requests == [row]


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
    assert site.lag == expected == waited[-1] and site.lab.noted(EVENT_LAG) == expected
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
    place = SimpleNamespace(url="http://gate.test")
    gateway: Any = SimpleNamespace(arm=Arm(), verify_tls=True, headers={}, manifest={}, replicas=[], place=place)
    lab: Any = SimpleNamespace()
    with pytest.raises(NotFromOutside, match=words), borrowed(lab, gateway, arm):
        pass


def test_where_a_picker_alone_is_judged_a_gateway_is_a_typed_skip() -> None:
    """Red when scenarios of a gateway break off with errors because none is named."""
    gateway: Any = SimpleNamespace(arm=Arm(), place=SimpleNamespace(url=""))
    lab: Any = SimpleNamespace()
    with pytest.raises(NotFromOutside, match="the endpoint picker alone is judged"), borrowed(lab, gateway, Arm()):
        pass


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    {"role": "user", "content": "你好"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "42", "tool_call_id": "1"},
]


def given_rows(folder: Path) -> list[Prompt]:
    path = folder / "p.jsonl"
    rows = [{"messages": MESSAGES, "max_tokens": 9}, {"prompt": "你好"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_prompts(path)


def test_a_users_chats_are_asked_as_chats_with_their_own_lengths(tmp_path: Path) -> None:
    """Red when a chat goes out as a completion, loses the calls of its tools, or is answered at another length."""
    prompts = {one.label: one for one in given_rows(tmp_path)}
    events = stream(token(), token(), DONE)
    with serving(lambda sock, _: sock.sendall(events)) as (url, told):
        site = site_at(url, [])
        site.routing.folder = tmp_path
        site.lab.notes.clear()
        rows = site.load("own", prompts, list(prompts), max_tokens=24)
    assert [row.error for row in rows] == ["", ""]
    (path, _, chat), (other, _, plain) = told.requests
    assert (path, other) == ("/v1/chat/completions", "/v1/completions")
    seen, text = json.loads(chat), json.loads(plain)
    assert (seen["messages"], seen["max_tokens"], "prompt" in seen) == (MESSAGES, 9, False)
    assert (text["prompt"], text["max_tokens"], "messages" in text) == ("你好", 24, False)


def test_our_own_arms_are_asked_what_their_simulator_can_read(tmp_path: Path) -> None:
    """Red when the simulator gets other tokens than the model of hit rates counts, or a message without a text."""
    outside = site_at("http://127.0.0.1:1", [])
    site = Deployment(outside.lab, outside.routing)
    chat, plain = given_rows(tmp_path)
    bodies = [site.body(chat), site.body(plain)]
    messages = [(one["role"], one["content"]) for one in bodies[0]["messages"]]
    assert count(chat_text(messages)) == chat.tokens
    assert messages[0] == ("user", " x4f60  x597d ") and messages[2] == ("tool", "42")
    assert (bodies[1]["prompt"], plain.tokens) == (" x4f60  x597d ", 2)
