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
