"""Pickers of somebody's gateway are found by the pool's Service, and read at their address or by the Pod proxy."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.cluster.errors import ApiRefused
from gpuassay.systems.llmd.existing.pickers import PickerPod, Unseen, find_pickers, samples_of
from tests.cluster.test_existing_gateway import METRICS, FakeApi, closed_port, pod
from tests.load.servers import fixed, serving

POOL: dict[str, Any] = {"spec": {"endpointPickerRef": {"name": "epp", "port": {"number": 9002}}}}


class WithService(FakeApi):
    service: dict[str, Any] | None = {"spec": {"selector": {"app": "x"}}}  # noqa: RUF012 - replaced, never changed

    def get(self, kind: str, name: str, namespace: str) -> Any:
        if self.refuse:
            raise self.refuse
        return self.service if (kind, name) == ("Service", "epp") else None


def picker(name: str, port: int | None = None) -> dict[str, Any]:
    ports = [{"name": "grpc", "containerPort": 9002}]
    ports += [] if port is None else [{"name": "http-metrics", "containerPort": port}]
    return pod(name) | {"spec": {"containers": [{"name": "epp", "ports": ports}]}}


def test_the_pickers_of_a_pool_are_found() -> None:
    """Red when the Service's Pods, or the port that they name for metrics, are not taken."""
    api: Any = WithService([picker("a", 9123), picker("b")], [])
    assert find_pickers(api, POOL, "ns") == [PickerPod("a", "127.0.0.1", 9123), PickerPod("b", "127.0.0.1", 9090)]


def test_they_are_read_at_their_address_or_by_the_pod_proxy() -> None:
    """Red when a picker behind a cluster's network cannot be read, or one that can is read through the proxy."""
    api: Any = WithService([], [])
    with serving(lambda sock, _: sock.sendall(fixed(METRICS.encode(), kind="text/plain"))) as (url, _):
        near = PickerPod("a", "127.0.0.1", int(url.rpartition(":")[2]))
        far = PickerPod("b", "127.0.0.1", closed_port())
        told = samples_of(api, "ns", [near, far])
    assert [rows[0]["value"] for rows in told.values()] == [4.0, 4.0]
    assert api.asked == [f"get /api/v1/namespaces/ns/pods/b:{far.port}/proxy/metrics"]


@pytest.mark.parametrize(
    ("pool", "service", "refuse", "words"),
    [
        ({"spec": {}}, {}, None, "the InferencePool's endpoint picker is no Service, but Service without a name"),
        (POOL, None, None, "the picker's Service ns/epp is not there, or selects no Pods"),
        (POOL, {"spec": {"selector": {"app": "y"}}}, None, "no Pod of the picker's Service ns/epp has an address"),
        (POOL, {}, ApiRefused(403, "Forbidden", "no"), "or its Pods may not be read: 403 Forbidden"),
    ],
)
def test_what_cannot_be_seen_is_one_line(pool: Any, service: Any, refuse: ApiRefused | None, words: str) -> None:
    """Red when a picker that may not be read stops a scenario, or the report does not say why no cause is named."""
    api: Any = WithService([picker("a")], [])
    api.service, api.refuse = service, refuse
    with pytest.raises(Unseen) as caught:
        find_pickers(api, pool, "ns")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_metrics_that_want_credentials_are_one_line() -> None:
    """Red when a picker's refusal is an error of the run."""
    api: Any = WithService([], [], ApiRefused(401, "Unauthorized", "no"))
    with pytest.raises(Unseen, match=r"the metrics of endpoint picker a at .* cannot be read: 401"):
        samples_of(api, "ns", [PickerPod("a", "127.0.0.1", closed_port())])
