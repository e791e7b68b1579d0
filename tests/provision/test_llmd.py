"""What of llm-d routing is found on a cluster, and what values of a user become."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.component import Wish
from gpuassay.provision.install import Target, await_working
from gpuassay.provision.objects import Kind, Objects
from gpuassay.systems.llmd.component.images import SIMULATOR
from gpuassay.systems.llmd.component.served import NAME, deployment, model_of, read
from gpuassay.systems.llmd.provision import LLMD, NAMESPACE, content, detect, in_use, problem
from gpuassay.toolchain import Assets
from tests.cluster.conftest import need_programs
from tests.discovery.stub import Stub

V1 = "inference.networking.k8s.io/v1"
POOL: Manifest = {"apiVersion": V1, "kind": "InferencePool", "metadata": {"name": "p", "namespace": "serving"}}
OURS: Manifest = {"apiVersion": V1, "kind": "InferencePool", "metadata": {"name": "llmd", "namespace": "llm-d-routing"}}


class Found:
    """A cluster with some pools and Deployments; with no pools it serves no such kind."""

    def __init__(self, pools: list[Manifest], deployments: list[Manifest]) -> None:
        self._of = {"InferencePool": pools, "Deployment": deployments}
        served = [Kind("apps/v1", "Deployment", "deployments", namespaced=True, listable=True)]
        if pools:
            served.append(Kind(V1, "InferencePool", "inferencepools", namespaced=True, listable=True))
        self.kinds = {(one.version, one.name): one for one in served}
        self.preferred = {"apps/v1", V1}

    def list(self, kind: Kind) -> list[Manifest]:
        return self._of[kind.name]


def found(pools: list[Manifest], deployments: list[Manifest]) -> Objects:
    return cast("Objects", Found(pools, deployments))


def picker(image: str, **meta: object) -> Manifest:
    containers = [{"name": "envoy", "image": "docker.io/envoyproxy/envoy:v1"}, {"name": "epp", "image": image}]
    return {
        "metadata": {"name": "p-epp", "namespace": "serving", **meta},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/llm-d/llm-d-inference-scheduler:v0.7.1", "v0.7.1"),
        ("registry.k8s.io/gateway-api-inference-extension/epp:v1.4.0", "v1.4.0"),
        ("localhost:5000/epp@sha256:aa", "9.9"),
        ("registry.example:5000/team/my-epp:v2@sha256:aa", "v2"),
    ],
)
def test_a_pool_with_a_picker_is_an_installation(image: str, version: str) -> None:
    """Red when a picker is not known by its image, or its version is taken from elsewhere than tag, then label."""
    one = picker(image, labels={"app.kubernetes.io/version": "9.9"})
    there = detect(found([POOL], [one]))
    assert there is not None
    assert (there.version, there.namespace, there.how) == (version, "serving", "manifests")


def test_a_release_of_helm_is_named() -> None:
    """Red when a user is not told how somebody has installed it."""
    one = picker("a/epp:v1", annotations={"meta.helm.sh/release-name": "prod"})
    there = detect(found([POOL], [one]))
    assert there is not None and there.how == "Helm release prod"


@pytest.mark.parametrize(
    ("pools", "image"), [([], "a/epp:v1"), ([POOL], "a/stepper:v1"), ([POOL], "a/inference-gateway:v1")]
)
def test_a_pool_or_a_picker_alone_is_none(pools: list[Manifest], image: str) -> None:
    """Red when definitions or something of a like name pass for routing."""
    assert detect(found(pools, [picker(image)])) is None


def test_only_pools_of_others_are_in_use() -> None:
    """Red when our own pool keeps itself from being removed."""
    assert [str(ref) for ref in in_use(found([OURS, POOL], []))] == ["InferencePool serving/p"]
    assert in_use(found([], [])) == []


def test_values_become_the_model_servers(tmp_path: Path) -> None:
    """Red when a value of the user is not heeded, or the chart's own keys are refused."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("inferenceExtension: {replicas: 2}\nmodelServers: {model: qwen, replicas: 5}\n")
    second.write_text("modelServers: {replicas: 2, tolerations: [{operator: Exists}], resources: {limits: {gpu: 1}}}\n")
    made = deployment(read([first, second]).model_servers, "there")
    pod = made["spec"]["template"]["spec"]
    assert (model_of(made), made["spec"]["replicas"]) == ("qwen", 2)
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["containers"][0]["resources"] == {"limits": {"gpu": 1}}
    assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]


def test_without_values_it_is_the_simulator_with_latencies_as_durations() -> None:
    """Red when the simulator is given whole numbers, on which it ends at once."""
    made = deployment(read([]).model_servers, "there")
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert made["spec"]["replicas"] == 3
    assert container["image"].startswith(f"{SIMULATOR}:v")
    assert container["args"][-4:] == ["--time-to-first-token", "10ms", "--inter-token-latency", "1ms"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("modelServers: {replicaz: 2}", "Object contains unknown field `replicaz` - at `$.modelServers`"),
        ("modelServers: {replicas: 0}", "`int` >= 1"),
        ("modelServers: {replicas: two}", "Expected `int`, got `str` - at `$.modelServers.replicas`"),
        ("modelServers: 7", "Expected `object`, got `int`"),
        ("modelServers: [1", "cannot be read"),
        ("[1]", "Expected `object`, got `array`"),
        ("pickerProfile: 7", "Expected `str`, got `int` - at `$.pickerProfile`"),
    ],
)
def test_bad_values_get_one_line_that_names_the_file(tmp_path: Path, text: str, why: str) -> None:
    """Red when a slip is passed over, or a user is not told in which file it stands."""
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(ClusterError) as error:
        read([file])
    assert why in str(error.value) and str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("profile", "why"),
    [("precise", "take one of approximate, least-loaded, random"), ("fastest", "no endpoint-picker profile is called")],
)
def test_a_picker_that_would_not_work_is_refused(tmp_path: Path, profile: str, why: str) -> None:
    """Red when a configuration is installed without what it asks for, such as KV-cache events."""
    need_programs("llmd-epp")
    file = tmp_path / "values.yaml"
    file.write_text(f"pickerProfile: {profile}")
    with pytest.raises(ClusterError, match=why):
        content(Assets(), Wish(values=[file]))


def test_a_named_picker_configuration_goes_into_the_chart(tmp_path: Path) -> None:
    """Red when the chart is told the configuration, and not to use it."""
    need_programs("llmd-epp")
    file = tmp_path / "values.yaml"
    file.write_text("pickerProfile: least-loaded")
    chart = content(Assets(), Wish(values=[file])).chart
    assert chart is not None
    extension = chart.values["inferenceExtension"]
    assert "running-requests-size-scorer" in extension["pluginsCustomConfig"][extension["pluginsConfigFile"]]


class Lesser(Stub):
    """Has the model servers, and denies every completion."""

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> str:
        if method == "post":
            raise ApiRefused(403, "Forbidden", 'User "it" cannot create resource "services/proxy" in API group ""')
        return super().request(method, path, body, **more)


def test_who_may_not_ask_for_a_completion_is_told_so_at_once() -> None:
    """Red when a right that is lacking is waited for, or verb and resource are not named."""
    servers: Manifest = {"spec": {"template": {"spec": {"containers": [{"args": ["--model", "m"]}]}}}}
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}"
    api = Lesser("v1.36.0", {path: servers})
    assert "this identity may not create services/proxy" in problem(api)
    site = cast("Target", SimpleNamespace(cluster=SimpleNamespace(api=api), say=print))
    with pytest.raises(ClusterError, match="this identity may not create services/proxy"):
        await_working(site, LLMD, 3600)
