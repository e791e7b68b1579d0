"""Pool and model servers of somebody's gateway: found by the API, asked directly or by the Pod proxy, never touched."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError, NotFromOutside
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.existing.gateway import ExistingGateway, ExistingReplica, Place, require_answers
from tests.load.servers import fixed, serving

METRICS = '# TYPE vllm:request_success counter\nvllm:request_success{model_name="m"} 4\n'


class FakeApi:
    """Pods and pools in memory; the Pod proxy answers what it is given. It has no way to write."""

    def __init__(self, pods: list[Manifest], pools: list[Manifest], proxy: str | ApiRefused = METRICS) -> None:
        self.pods, self.pools, self.proxy, self.asked = pods, pools, proxy, list[str]()
        self.refuse: ApiRefused | None = None

    def get(self, kind: str, name: str, namespace: str) -> Manifest | None:
        if self.refuse:
            raise self.refuse
        return next((one for one in self.pools if one["metadata"]["name"] == name), None)

    def list(self, kind: str, namespace: str, label_selector: str | None = None) -> list[Manifest]:
        wanted = dict(part.split("=") for part in (label_selector or "").split(",") if part)
        return [
            one for one in (self.pods if kind == "Pod" else self.pools)
            if wanted.items() <= one["metadata"].get("labels", {}).items()
        ]  # fmt: skip

    def request(self, method: str, path: str, body: object = None) -> str:
        self.asked.append(f"{method} {path}")
        if isinstance(self.proxy, ApiRefused):
            raise self.proxy
        return self.proxy


def pod(name: str, address: str = "127.0.0.1", *, ready: str = "True", app: str = "x") -> Manifest:
    status = {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": {"app": app}}, "status": status}


def pool(port: int, name: str = "pool") -> Manifest:
    spec = {"selector": {"matchLabels": {"app": "x"}}, "targetPorts": [{"number": port}]}
    return {"metadata": {"name": name}, "spec": spec}


def gateway(api: Any, **more: Any) -> ExistingGateway:
    settled: dict[str, Any] = {"url": "http://g", "model": "m", "namespace": "ns", "pool": "pool"}
    return ExistingGateway(api, Place(**settled | more), Path())


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_model_server_that_can_be_reached_is_asked_at_its_address() -> None:
    """Red when a Pod's address is not used where it works: the proxy costs the API server every request."""
    with serving(lambda sock, _: sock.sendall(fixed(METRICS.encode(), kind="text/plain"))) as (url, _):
        api = FakeApi([pod("a"), pod("b", app="y")], [pool(int(url.rpartition(":")[2]))])
        [replica] = gateway(api).replicas
        assert replica.name == "a" and replica.url == url
        assert replica.metrics()[0]["name"] == "vllm:request_success_total"
    assert not api.asked


def test_one_that_cannot_is_asked_through_the_pod_proxy() -> None:
    """Red when model servers behind a cluster's network cannot be read or warmed at all."""
    port = closed_port()
    api = FakeApi([pod("a")], [pool(port)])
    [replica] = gateway(api, selector={"app": "x"}).replicas
    assert replica.metrics()[0]["value"] == 4.0
    api.proxy = json.dumps({"usage": {"prompt_tokens": 2}})
    assert replica.complete("hello")["usage"]["prompt_tokens"] == 2
    proxy = f"/api/v1/namespaces/ns/pods/a:{port}/proxy"
    assert api.asked == [f"get {proxy}/metrics", f"post {proxy}/v1/completions"]
    with pytest.raises(NotFromOutside, match="Pod proxy only"):
        _ = replica.url
    api.proxy = ApiRefused(403, "Forbidden", "no")
    with pytest.raises(ClusterError, match="run where Pods can be reached, or allow pods/proxy"):
        require_answers([replica])


@pytest.mark.parametrize("proxied", [False, True])
def test_the_page_is_where_the_engine_has_it(proxied: bool) -> None:
    """Red when TensorRT-LLM's or NIM's metrics are not found, or every scrape tries all paths again."""
    pages = {"/metrics": b"[]", "/prometheus/metrics": METRICS.encode()}

    def talk(sock: Any, _: int) -> None:
        sock.sendall(fixed(pages[told.requests[-1][0]], kind="text/plain"))

    with serving(talk) as (url, told):
        port = closed_port() if proxied else int(url.rpartition(":")[2])
        api = FakeApi([pod("a")], [pool(port)])
        api.request = lambda method, path, body=None: pages[path.partition("/proxy")[2]].decode()
        [replica] = gateway(api).replicas
        assert [replica.metrics()[0]["value"] for _ in range(2)] == [4.0, 4.0]
        if not proxied:
            paths = ["/metrics", "/prometheus/metrics", "/prometheus/metrics"]
            assert [path for path, _, _ in told.requests] == paths


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("<html><title>Sign in</title></html>", "cannot be read: an HTML page ('Sign in')"),
        ("404 page not found", "no Prometheus metrics"),
        (ApiRefused(404, "NotFound", "no"), "the Pod proxy answers 404"),
    ],
)
def test_a_page_that_is_none_names_its_server(proxy: str | ApiRefused, words: str) -> None:
    """Red when a login page in front of one of many servers does not say in front of which."""
    port = closed_port()
    [replica] = gateway(FakeApi([pod("a")], [pool(port)], proxy)).replicas
    with pytest.raises(ClusterError) as caught:
        require_answers([replica])
    said = str(caught.value)
    assert "a at 127.0.0.1:" in said or said.startswith(f"a:{port} is not reached")
    assert words in said and said.endswith("; nor at /prometheus/metrics, /v1/metrics") and "\n" not in said


def test_the_container_tells_when_the_server_started() -> None:
    """Red when a sidecar's start counts for the server's, or a Pod that may not be read stops the scrape."""
    api = FakeApi([pod("a")], [pool(closed_port())])
    [replica] = gateway(api).replicas
    assert isinstance(replica, ExistingReplica)
    began = {"running": {"startedAt": "2026-08-01T00:00:00Z"}}
    containers = [{"name": "engine", "ports": [{"containerPort": replica.port}]}, {"name": "proxy"}]
    states = [{"name": one["name"], "state": began} for one in containers]
    seen = {"metadata": {"name": "a"}, "spec": {"containers": containers}, "status": {"containerStatuses": states}}
    api.get = lambda kind, name, namespace: seen if (kind, name, namespace) == ("Pod", "a", "ns") else None
    [told] = replica.started()
    assert (told["name"], told["labels"]) == ("kube_pod_container_state_started", {"container": "engine"})
    assert told["value"] == 1785542400
    del containers[0]["ports"]
    assert [one["labels"]["container"] for one in replica.started()] == ["engine", "proxy"]
    api.pools, api.refuse = [], ApiRefused(403, "Forbidden", "no")
    del api.get
    assert replica.started() == []


def test_nothing_of_somebodys_can_be_touched() -> None:
    """Red when a scenario could kill, stop or change what is not ours."""
    found = gateway(FakeApi([pod("a")], [pool(closed_port())]))
    [replica] = found.replicas
    assert isinstance(replica, ExistingReplica)
    for touch in (replica.kill, replica.terminate, replica.suspend, replica.restart, lambda: replica.admin({})):
        with pytest.raises(NotFromOutside, match="is somebody's"):
            touch()
    for reach in (lambda: replica.child.alive, lambda: found.endpoints.delete("a"), found.start):
        with pytest.raises(NotFromOutside):
            reach()
    assert found.picker is None and found.envoy is None


@pytest.mark.parametrize(
    ("pods", "more", "words"),
    [
        ([], {}, "no Pod of namespace ns matches 'app=x' (it has 0 Pods); correct --endpoint-selector"),
        ([pod("a")], {"selector": {"app": "z"}}, "no Pod of namespace ns matches 'app=z' (it has 1 Pods)"),
        ([pod("a", ready="False")], {}, "none of the 1 Pods that match is Ready with a port of the pool"),
        ([pod("a")], {"pool": "other"}, "--inference-pool ns/other is not there; that namespace has pool"),
    ],
)
def test_what_is_not_there_is_one_line(pods: list[Manifest], more: dict[str, Any], words: str) -> None:
    """Red when a wrong pool or selector is an empty run or a traceback."""
    with pytest.raises(ClusterError) as caught:
        gateway(FakeApi(pods, [pool(closed_port())]), **more)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_pool_that_may_not_be_read_or_is_no_kind_is_one_line() -> None:
    """Red when a missing CRD or right reads as a pool that is not there."""
    api = FakeApi([], [])
    api.refuse = ApiRefused(404, "NotFound", "the server could not find the requested resource")
    with pytest.raises(ClusterError, match=r"serves no .* InferencePool; install"):
        gateway(api)
    api.refuse = ApiRefused(403, "Forbidden", "no")
    with pytest.raises(ClusterError, match="may not be read: 403 Forbidden"):
        gateway(api)
