"""Istio's gateway, live: it comes up and asks its picker, leaves nothing behind, and says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.load.headers import ASKED
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component import gateway_of as front
from gpuassay.systems.llmd.component.deployment import routing
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import ads, istio, istio_objects
from gpuassay.systems.llmd.gateway.istio import own_address
from tests.cluster.conftest import need_programs
from tests.cluster.test_llmd import assert_gone, programs_of

ARM = Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY, gateway="istio")


@pytest.fixture(scope="module")
def meshed() -> None:
    need_programs("controlplane", "kwok", "llmd-epp", "llmd-sim", "istio")
    if own_address() is None:
        pytest.skip("this machine has only loopback addresses")


# Red when a port of Istio's is open to others than this machine, objects stay behind, or the picker is not asked.
def test_a_gateway_of_istio_comes_and_goes(meshed: None, cluster: Cluster, tmp_path: Path) -> None:
    with routing(cluster, tmp_path, "meshed", ARM) as up:
        answer = requests.get(f"{up.url}/v1/models", timeout=5)
        assert (answer.status_code, answer.headers.get(ASKED)) == (200, "true")
        print(up.steps)
        assert up.istio.members() == sorted(replica.endpoint for replica in up.replicas)
        assert up.istio.istiod.refusals() == []
        ports = up.istio.istiod.ports
        address = own_address()
        mine = [up.istio.plan.listener, up.istio.plan.admin, ports.http, ports.xds, ports.monitoring]
        for port in [*mine, ports.introspection]:
            with pytest.raises(requests.ConnectionError):
                requests.get(f"http://{address}:{port}/", timeout=2)
        process = up.istio.istiod.child.process
        assert process is not None
        pids = [*programs_of(up), process.pid]
        assert any("istiod" in part.name and "no release" in part.version for part in up.components)
    assert_gone(pids)
    kinds = ("Gateway", "HTTPRoute", "EnvoyFilter", "InferencePool", "Pod")
    assert [kind for kind in kinds for _ in cluster.api.list(kind, "meshed")] == []


# Red when a death that nobody can handle leaves istiod or its Envoy running.
def test_kill_minus_nine_of_the_owner_leaves_nothing_of_istio(meshed: None, cluster: Cluster, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cluster.owner_of_an_arm", str(tmp_path), str(cluster.kubeconfig), "istio"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, start_new_session=True) as owner:
        assert owner.stdout is not None
        up, *pids = owner.stdout.readline().decode().split()
        assert up == "up"
        assert len(pids) == 7  # as the other arm, and istiod
        owner.kill()
    assert_gone([int(pid) for pid in pids])


# Red when a configuration that istiod refuses is waited for in vain, or its own words are lost.
def test_a_refused_configuration_is_told(meshed: None, cluster: Cluster, tmp_path: Path) -> None:
    broken = Arm(
        profile="random", replicas=1, cache=Cache(blocks=0), gateway="istio", istiod_env={"JWT_RULE": "no JSON"}
    )  # fmt: skip
    with (
        pytest.raises(ClusterError, match=r"istiod refuses to start.*JWT rule"),
        routing(cluster, tmp_path, "refused", broken),
    ):
        pass


def test_without_the_program_the_build_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Red when a missing istiod is an unexplained failure."""
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path))
    reason = toolchain.available("istio")
    assert reason is not None
    assert "gpuassay build istio" in reason


def test_a_machine_with_loopback_only_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when arms behind Istio get addresses that no EndpointSlice takes."""
    monkeypatch.setattr(istio, "own_address", lambda: None)
    with pytest.raises(ClusterError, match="an IPv4 address of this machine besides loopback"):
        front.hosts(ARM)
    assert all(one.startswith("127.") for one in front.hosts(Arm()))


def test_what_is_for_istio_is_refused_elsewhere() -> None:
    """Red when a change of Istio's objects is dropped without a word."""

    def nothing(_: list[Manifest]) -> None:
        """Changes nothing."""

    with pytest.raises(ClusterError, match="are for gateway='istio', not 'override-host'"):
        Arm(change_objects=nothing)


def test_an_envoy_says_who_it_is_and_where_its_control_plane_is() -> None:
    """Red when Istio cannot tell the gateway's Pod from the node's id, or Envoy would listen beyond loopback."""
    made = ads.bootstrap(ads.Node("gateway", "space", "192.0.2.7", 15010), 15000)
    assert made["node"]["id"] == "router~192.0.2.7~gateway.space~space.svc.cluster.local"
    assert made["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 15000}
    [cluster] = made["static_resources"]["clusters"]
    [host] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert host["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 15010}


def test_a_slice_without_addresses_is_one_without_endpoints() -> None:
    """Red when a Service that is to lose its endpoint keeps it."""
    made = istio_objects.endpoint_slice("s", "svc", "space", [], 80)
    assert made["endpoints"] == []
    assert made["metadata"]["labels"] == {"kubernetes.io/service-name": "svc"}
