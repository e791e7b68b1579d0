"""A gateway is asked by the path that it serves: completions, else chats, else responses."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.existing.dialect import CHAT, COMPLETIONS, RESPONSES, Dialect, counted
from gpuassay.systems.llmd.existing.options import MetricsAt
from gpuassay.systems.llmd.existing.preflight import check_gateway
from gpuassay.systems.llmd.existing.replica import Access, ExistingReplica
from gpuassay.systems.llmd.objects.prompts import prompt_set
from tests.cluster.test_existing_gateway import METRICS, FakeApi
from tests.load.servers import DONE, fixed, serving, stream, token
from tests.load.test_credentials import BEGIN, TEXTS, USAGE, event
from tests.scenario.test_existing_site import Counting, site_at
from tests.scenario.test_gateway_check import place_at

SAID = stream(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', DONE)
RESPONDED = stream(BEGIN, *TEXTS, event("response.completed", response={"usage": USAGE}))
NONE = fixed(b"no such path", status="404 Not Found")


@pytest.mark.parametrize(
    ("served", "found"),
    [
        ({COMPLETIONS.path: stream(token(), DONE), CHAT.path: SAID}, COMPLETIONS),
        ({CHAT.path: SAID, RESPONSES.path: RESPONDED}, CHAT),
        ({RESPONSES.path: RESPONDED}, RESPONSES),
    ],
)
def test_the_first_path_that_is_served_is_taken(served: dict[str, bytes], found: Dialect) -> None:
    """Red when a gateway that takes chats only is refused, or one that takes completions is asked otherwise."""

    def talk(sock: socket.socket, _: int) -> None:
        sock.sendall(served.get(told.requests[-1][0], NONE))

    with serving(talk) as (url, told):
        assert check_gateway(place_at(url)) is found


def test_a_path_that_is_asked_for_is_the_only_one() -> None:
    """Red when `--gateway-api completions` is answered by a chat, or no path at all is no refusal."""
    with serving(lambda sock, _: sock.sendall(SAID if "chat" in told.requests[-1][0] else NONE)) as (url, told):
        with pytest.raises(ClusterError, match="/v1/completions answers 404"):
            check_gateway(place_at(url), "completions")
        assert check_gateway(place_at(url), "chat") is CHAT


def test_every_model_must_be_known() -> None:
    """Red when a further model that the gateway does not have is found out by failing behaviours."""
    models = b'{"data":[{"id":"m"},{"id":"n"}]}'
    with serving(lambda sock, _: sock.sendall(stream(token(), DONE)), models=models) as (url, told):
        check_gateway(place_at(url, others=("n",)))
        assert [json.loads(body)["model"] for _, _, body in told.requests] == ["m", "n"]
        with pytest.raises(ClusterError, match="model 'o' is unknown; the gateway has m, n"):
            check_gateway(place_at(url, others=("n", "o")))


@pytest.mark.parametrize(
    ("way", "answer", "field"),
    [
        (COMPLETIONS, {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}, "prompt"),
        (CHAT, {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}, "messages"),
        (RESPONSES, {"usage": {"input_tokens": 7, "output_tokens": 1}}, "input"),
    ],
)
def test_scenarios_ask_by_that_path(tmp_path: Path, way: Dialect, answer: dict[str, Any], field: str) -> None:
    """Red when a request, or a model server that is warmed, is asked otherwise than the gateway: another prefix."""
    more = "x-inference-pod: zed\r\n"
    with serving(lambda sock, _: sock.sendall(fixed(json.dumps(answer).encode(), more=more))) as (url, told):
        site = site_at(url, [Counting("a")])
        site.way = way
        [prompt] = prompt_set([3])
        [row] = site.ask("wave", [prompt])
        api: Any = FakeApi([], [])
        replica = ExistingReplica(api, "ns", "zed", "127.0.0.1", int(url.rpartition(":")[2]), "m", way=way)
        replica.complete(prompt.text)
    assert (row.prompt_tokens, row.tokens) == (7, 1)
    (path, _, asked), (warmed, _, directly) = told.requests
    assert path == warmed == way.path and json.loads(asked)[field] == json.loads(directly)[field]


def test_usage_that_is_none_is_unknown() -> None:
    """Red when a flag or a text counts as a number of tokens."""
    assert counted({"usage": {"prompt_tokens": True, "input_tokens": 3, "completion_tokens": "1"}}) == (3, None, None)
    assert counted([]) == (None, None, None)


def test_metrics_are_read_where_they_are_said_to_be() -> None:
    """Red when a sidecar's port or path is not asked, or the API's own is scraped instead."""
    with serving(lambda sock, _: sock.sendall(fixed(METRICS.encode(), kind="text/plain"))) as (url, told):
        port = int(url.rpartition(":")[2])
        api: Any = FakeApi([], [])
        replica = ExistingReplica(
            api, "ns", "a", "127.0.0.1", port, "m", Access(tls=True, metrics=MetricsAt("http", port, "/stats"))
        )
        assert replica.metrics() and told.requests[0][0] == "/stats"
        assert replica.url == f"https://127.0.0.1:{port}"


def test_the_pod_proxy_is_told_of_tls_and_another_port() -> None:
    """Red when a model server of TLS behind the Pod proxy is asked in plain text, or its metrics at the API's port."""
    api: Any = FakeApi([], [])
    access = Access(tls=True, metrics=MetricsAt("", 9100, ""))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        replica = ExistingReplica(api, "ns", "a", "127.0.0.1", nobody.getsockname()[1], "m", access)
    replica.metrics()
    assert api.asked == ["get /api/v1/namespaces/ns/pods/https:a:9100/proxy/metrics"]


def test_a_model_server_that_wants_a_token_of_its_own_is_one_line() -> None:
    """Red when a server's own key is not sent, or its refusal does not say where to put one."""
    with serving(lambda sock, _: sock.sendall(fixed(b"who?", status="401 Unauthorized"))) as (url, told):
        api: Any = FakeApi([], [])
        port = int(url.rpartition(":")[2])
        with pytest.raises(ClusterError, match=r"401 who\?; it wants a token of its own: GPUASSAY_ENDPOINT_TOKEN"):
            ExistingReplica(api, "ns", "a", "127.0.0.1", port, "m", Access(token="s3cret")).complete("hi")
    assert "authorization: bearer s3cret" in told.requests[0][1] and "s3cret" not in repr(Access(token="s3cret"))
