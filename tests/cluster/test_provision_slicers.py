"""NVIDIA's DRA driver and DAS as components: what they lack, and when they work. No cluster is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.component import Wish
from gpuassay.provision.cure import dead_ends
from gpuassay.provision.objects import Objects
from gpuassay.provision.plan import decide, refuse_doubled
from gpuassay.provision.registry import component
from gpuassay.systems.slices.provision_das import DAS, GROUP
from gpuassay.systems.slices.provision_dra import DRA
from gpuassay.toolchain import Assets
from tests.cluster.served import made, served

GPUS = made("v1", "Node", "with-gpus", labels={"nvidia.com/gpu.present": "true", "nvidia.com/mig.capable": "true"})
PODS = "/api/v1/namespaces/default/pods"
BY_DAS: dict[str, Manifest] = {PODS: {"spec": {"schedulerName": "das-scheduler"}}}


def slice_of(node: str, count: int = 1, driver: str = "gpu.nvidia.com") -> Manifest:
    pool = {"name": node, "generation": 1, "resourceSliceCount": count}
    spec = {"driver": driver, "nodeName": node, "pool": pool}
    return made("resource.k8s.io/v1", "ResourceSlice", f"{driver}-{node}", spec=spec)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([GPUS, slice_of("with-gpus")], ""),
        ([made("v1", "Node", "plain")], "no node carries a label such as nvidia.com/gpu.present=true"),
        ([GPUS, slice_of("with-gpus", count=2)], "no complete ResourceSlices of gpu.nvidia.com from with-gpus"),
        ([GPUS, slice_of("with-gpus", driver="other")], "no complete ResourceSlices of gpu.nvidia.com from with-gpus"),
        ([GPUS, slice_of("another")], "no complete ResourceSlices of gpu.nvidia.com from with-gpus"),
    ],
)  # fmt: skip
def test_the_dra_driver_works_once_every_node_tells_of_all_its_gpus(objects: list[Manifest], words: str) -> None:
    """Red when a node without slices, or with some of them only, counts as ready."""
    told = DRA.problem(served(*objects))
    assert words in told and bool(words) == bool(told)


def test_a_claim_that_holds_a_device_keeps_the_driver() -> None:
    """Red when devices are taken from a pod, or the slices of other drivers are deleted."""

    def claim(name: str, driver: str) -> Manifest:
        status = {"allocation": {"devices": {"results": [{"driver": driver}]}}} if driver else {}
        return made("resource.k8s.io/v1", "ResourceClaim", name, "team", status=status)

    claims = [claim("theirs", "gpu.nvidia.com"), claim("other", "nic.example"), claim("pending", "")]
    objects = Objects(served(*claims, slice_of("a"), slice_of("b", driver="nic.example")))
    assert [ref.name for ref in DRA.in_use(objects)] == ["theirs"]
    assert [ref.name for ref in DRA.made(objects)] == ["gpu.nvidia.com-a"]


def test_the_dra_driver_needs_an_api_for_devices() -> None:
    """Red when a cluster without the API gets a driver that can do nothing."""
    (line,) = DRA.lacking(Objects(served()))
    assert "it needs a Kubernetes that serves resource.k8s.io" in line and "v1.36.2" in line
    assert list(DRA.lacking(Objects(served(slice_of("a"))))) == []


@pytest.mark.parametrize("pair", [("dra-driver", "device-plugin"), ("das", "device-plugin"), ("das", "dra-driver")])
def test_no_two_of_them_hand_out_the_same_gpus(pair: tuple[str, str]) -> None:
    """Red when a GPU would be given to two pods."""
    for names in (pair, pair[::-1]):
        with pytest.raises(ClusterError, match="would offer the same GPUs twice, and both are asked for"):
            refuse_doubled([component(name) for name in names], Objects(served()))


PREREQUISITES = (
    GPUS,
    made("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy"),
    made("node.k8s.io/v1", "RuntimeClass", "nvidia-legacy", handler="nvidia"),
)


def test_what_das_lacks_is_told_in_a_line_each() -> None:
    """Red when DAS would wait without a word for something that is not there."""
    assert list(DAS.lacking(Objects(served(*PREREQUISITES)))) == []
    lines = DAS.lacking(Objects(served()))
    assert [one for one in lines if "\n" in one] == []
    for word in ("ClusterPolicy called gpu-cluster-policy", "RuntimeClass nvidia-legacy", "nvidia.com/mig.capable"):
        assert sum(word in one for one in lines) == 1
    (line,) = DAS.lacking(
        Objects(served(*PREREQUISITES[::2], made("nvidia.com/v1", "ClusterPolicy", "cluster-policy")))
    )
    assert "the one that is there is called cluster-policy" in line


def test_what_the_gpu_operator_will_bring_is_not_missed_before_it() -> None:
    """Red when both cannot be asked for at once, or DAS alone is begun without its prerequisites."""
    objects = Objects(served())
    assert decide(DAS, objects, wanted=[component("gpu-operator"), DAS]).install
    with pytest.raises(ClusterError, match="DAS cannot be installed: it waits for a ClusterPolicy"):
        decide(DAS, objects, wanted=[DAS])


DEFINITION = made("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"dasoperators.{GROUP}", spec={"group": GROUP})
OPERATOR = made(
    "apps/v1", "Deployment", "das-operator", "das-operator",
    spec={"template": {"spec": {"containers": [{"image": "quay.io/theirs/das-operator:v1"}]}}},
)  # fmt: skip
SECRET = made("v1", "Secret", "webhook", "das-operator", type="kubernetes.io/tls")


def folder(place: Path, *objects: Manifest) -> Wish:
    (place / "all.yaml").write_text(yaml.safe_dump_all(objects))
    return Wish(str(place))


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([OPERATOR], "does not hold DAS"),
        ([DEFINITION], "does not hold DAS"),
        ([DEFINITION, OPERATOR], "webhook would have no certificate: install cert-manager"),
    ],
)
def test_what_is_not_das_is_refused(objects: list[Manifest], words: str, tmp_path: Path) -> None:
    """Red when manifests are applied that cannot come to work."""
    with pytest.raises(ClusterError, match=words) as refused:
        DAS.content(Assets(), folder(tmp_path, *objects))
    assert "\n" not in str(refused.value)


def test_das_has_to_be_brought() -> None:
    """Red when nobody says where DAS is had."""
    with pytest.raises(ClusterError, match="DAS can only be brought: --das-source FOLDER"):
        DAS.content(Assets(), Wish())


@pytest.mark.parametrize("more", [{}, {"groups": frozenset({"cert-manager.io"})}])
def test_das_is_told_to_begin(more: dict[str, Any], tmp_path: Path) -> None:
    """Red when the object is missing that starts the operator's work, or certificates of either kind do not count."""
    wish = folder(tmp_path, DEFINITION, OPERATOR, *([] if more else [SECRET]))
    objects = DAS.content(Assets(), Wish(wish.source, **more)).objects
    (last,) = (one for one in objects if one["kind"] == "DASOperator")
    assert last["metadata"] == {"name": "cluster", "namespace": "das-operator"}


def test_das_works_once_its_webhook_answers_and_every_node_tells_of_its_gpus() -> None:
    """Red when pods would pass by DAS, or a node without GPUs known to it counts."""
    known = made(f"{GROUP}/v1alpha1", "NodeAccelerator", "with-gpus", "das-operator")
    stranger = made(f"{GROUP}/v1alpha1", "NodeAccelerator", "another", "das-operator")
    assert DAS.problem(served(GPUS, known, answers=BY_DAS)) == ""
    assert DAS.problem(served(GPUS, stranger, answers=BY_DAS)) == "no NodeAccelerator of with-gpus"
    assert "does not give pods" in DAS.problem(
        served(GPUS, known, answers={PODS: {"spec": {"schedulerName": "default"}}})
    )
    assert DAS.problem(served(GPUS, answers=BY_DAS))


def test_what_das_makes_elsewhere_goes_with_it() -> None:
    """Red when its webhook stays and refuses everybody's pods, or another's webhook goes."""
    version = "admissionregistration.k8s.io/v1"
    hooks = [
        made(version, "MutatingWebhookConfiguration", name) for name in ("das-mutating-webhook-configuration", "x")
    ]
    role = made("rbac.authorization.k8s.io/v1", "ClusterRole", "das-scheduler-view")
    assert [ref.name for ref in DAS.made(Objects(served(*hooks, role)))] == [
        "das-mutating-webhook-configuration", "das-scheduler-view",
    ]  # fmt: skip


def test_a_component_without_definitions_owns_no_dead_webhook() -> None:
    """Red when `remove --force device-plugin` deletes another component's webhook."""
    service = {"service": {"namespace": "theirs", "name": "hook"}}
    hook = made(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "theirs",
        webhooks=[{"clientConfig": service}],
    )
    slices = made("discovery.k8s.io/v1", "EndpointSlice", "none", "x", endpoints=[])
    objects = Objects(served(hook, slices))
    assert [ref.name for ref in dead_ends(objects, "", "theirs")] == ["theirs"]
    assert dead_ends(objects, "", "nvidia-device-plugin") == []
