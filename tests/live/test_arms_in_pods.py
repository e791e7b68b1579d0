"""Arms as pods of a cluster like a user's: they know their caches, are killed and hang as processes do. Root only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.like_yours import like_yours
from gpuassay.systems.llmd.acts.recording_server import standing_in
from gpuassay.systems.llmd.component import crds, probe
from gpuassay.systems.llmd.component.deployment import Routing
from gpuassay.systems.llmd.component.simulator import NO_LATENCY
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.systems.llmd.pods.deployment import routing_in_pods
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster

NAMESPACE = "arm"
ROUNDS = 10
"""Probes in a row; chance is right in all of them once in a thousand times."""


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the definitions of the inference extension."""
    need_whole_cluster("llmd-epp", "llmd-sim")
    try:
        envoy.program()
    except ClusterError as error:
        pytest.skip(f"needs Envoy: {error}")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1) as up:
        crds.install(up)
        yield up


@pytest.fixture(scope="module")
def arm(yours: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    """Precise routing between two replicas; no object of it is left afterwards."""
    wanted = Arm(replicas=2, latency=NO_LATENCY)
    with routing_in_pods(yours, tmp_path_factory.mktemp("arm"), NAMESPACE, wanted) as up:
        yield up
    wait(
        lambda: yours.api.get("Namespace", NAMESPACE), lambda left: left is None, what="the namespace to be gone",
        timeout=60,
    )  # fmt: skip


def hits(up: Routing) -> int:
    """How many of fresh prompts go to the replica that was warmed with them directly."""
    found = 0
    for number in range(ROUNDS):
        replica = up.replicas[number % 2]
        prompt = probe.fresh_prompt(probe.BLOCKS, up.arm.cache.block_size)
        before = len(up.forwarder.events()) if up.forwarder else 0
        replica.complete(prompt)
        assert up.forwarder is not None
        up.forwarder.await_events(replica.topic, since=before)
        found += probe.served_by(up.url, up.model, prompt) == replica.name
    return found


def test_the_picker_knows_the_caches_and_misses_with_a_wrong_tokenizer(arm: Routing) -> None:
    """Red when a sound arm misses, or one whose hashes cannot fit hits: then something else tells the replica."""
    assert hits(arm) == ROUNDS
    assert arm.tokenizer is not None
    arm.tokenizer.restart(shift=1)
    wait(lambda: hits(arm), lambda found: found < ROUNDS, what="the wrong tokenizer to be asked", timeout=60)
    arm.tokenizer.restart()
    wait(lambda: hits(arm), ROUNDS.__eq__, what="the right tokenizer to be asked", timeout=60)


def test_a_server_dies_hangs_and_comes_back_at_its_address(yours: Cluster, arm: Routing, tmp_path: Path) -> None:
    """Red when a killed server answers, its pod or address goes with it, or a suspended one answers or is gone."""
    del tmp_path
    replica = arm.replicas[0]
    before = yours.api.get("Pod", replica.name, NAMESPACE)
    assert before is not None
    replica.kill()
    assert not replica.healthy()
    assert replica.endpoint in arm.endpoints.members()
    replica.restart()
    replica.suspend()
    with pytest.raises(requests.Timeout):
        requests.get(f"{replica.url}/health", timeout=1)
    replica.resume()
    wait(replica.healthy, bool, what="it to go on", timeout=10)
    with standing_in(replica) as inn:
        answer = requests.get(f"{replica.url}/v1/models", timeout=10)
        assert answer.json() == {"object": "list", "data": []}
        requests.post(f"{replica.url}/v1/completions", json={"prompt": "x"}, timeout=10)
        assert len(inn.seen) == 1
    replica.restart()
    after = yours.api.get("Pod", replica.name, NAMESPACE)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_readiness_and_members_reach_picker_and_gateway(arm: Routing) -> None:
    """Red when an unready pod is picked or stays in Envoy's pool, or one that is Ready again does not come back."""
    assert arm.picker is not None
    assert arm.envoy is not None
    out, other = arm.replicas
    arm.endpoints.set_ready(out.name, False)
    arm.picker.await_ready_pods(1)
    assert arm.envoy.members() == [other.endpoint]
    arm.endpoints.set_ready(out.name, True)
    arm.picker.await_ready_pods(2)
    assert arm.envoy.members() == sorted([out.endpoint, other.endpoint])


def test_a_picker_that_is_killed_comes_back_with_another_configuration(arm: Routing) -> None:
    """Red when it answers after its end, or its new pod reads the old configuration or is not reached."""
    assert arm.picker is not None
    arm.picker.kill()
    assert arm.picker.health() == "UNAVAILABLE"
    configuration = dict(arm.picker.configuration or {})
    configuration["plugins"] = [{"type": "no-such-plugin"}]
    with pytest.raises(ClusterError, match="no-such-plugin"):
        arm.picker.restart(configuration)
    configuration["plugins"] = [{"type": "single-profile-handler"}, {"type": "random-picker"}]
    configuration["schedulingProfiles"] = [{"name": "default", "plugins": [{"pluginRef": "random-picker"}]}]
    arm.picker.restart(configuration)
    arm.picker.await_ready_pods(2)
    assert requests.post(f"{arm.url}/v1/completions", json={"model": arm.model, "prompt": "x"}, timeout=10).ok
