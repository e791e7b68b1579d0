"""NVIDIA's GPU Operator as a component: what is asked of helm, and what keeps it from working. No cluster is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.component import Wish
from gpuassay.provision.objects import Objects
from gpuassay.provision.plan import Wanted, plan, refuse_doubled
from gpuassay.provision.registry import component
from gpuassay.systems.gpu_operator.provision import OPERATOR
from gpuassay.toolchain import Assets
from tests import operators
from tests.cluster.served import made, served


def values(wish: Wish) -> dict[str, Any]:
    chart = OPERATOR.content(Assets(), wish).chart
    assert chart is not None
    return dict(chart.values)


def test_without_a_chart_one_line_says_how_to_name_it() -> None:
    """Red when the lack of a chart is found out late, or by helm."""
    with pytest.raises(ClusterError, match="has to be named: --gpu-operator-source CHART") as refused:
        OPERATOR.content(Assets(), Wish())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("beside", ["dra-driver", "das"])
def test_beside_another_slicer_the_device_plugin_is_off(beside: str) -> None:
    """Red when the operator's device plugin would offer GPUs that the DRA driver or DAS hands out."""
    assert values(Wish("nvidia/gpu-operator"))["devicePlugin"]["enabled"]
    assert not values(Wish("nvidia/gpu-operator", beside=frozenset({beside})))["devicePlugin"]["enabled"]


def test_feature_discovery_of_others_is_used() -> None:
    """Red when a second Node Feature Discovery is put beside the cluster's."""
    assert values(Wish("nvidia/gpu-operator"))["nfd"]["enabled"]
    assert not values(Wish("nvidia/gpu-operator", groups=frozenset({"nfd.k8s-sigs.io"})))["nfd"]["enabled"]


def theirs() -> list[Manifest]:
    """A healthy operator's objects, with the status that controllers write."""
    everything = [one for kind, some in operators.healthy().items() if kind != "Metrics" for one in some]
    for one in everything:
        if one["kind"] == "DaemonSet":
            one["metadata"]["generation"] = 3
            one["status"] |= {"observedGeneration": 3, "updatedNumberScheduled": len(operators.NODES)}
    return everything


def broken(change: Callable[[Manifest], None], kind: str, name: str) -> list[Manifest]:
    found = theirs()
    for one in found:
        if one["kind"] == kind and one["metadata"]["name"] == name:
            change(one)
    return found


PLUGIN = "nvidia-device-plugin-daemonset"


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (theirs(), ""),
        (
            broken(lambda one: one["status"].update(state="notReady"), "ClusterPolicy", "cluster-policy"),
            "ClusterPolicy cluster-policy is notReady",
        ),
        (
            broken(lambda one: one["status"].update(conditions=[]), "Pod", f"{PLUGIN}-gpu-a"),
            f"{PLUGIN} has no ready pod on node gpu-a: it does not say why",
        ),
        (
            broken(lambda one: one["status"].update(updatedNumberScheduled=1), "DaemonSet", PLUGIN),
            f"1 pods of DaemonSet {PLUGIN} are of an old revision, or missing",
        ),
        (
            broken(lambda one: one["metadata"].update(generation=4), "DaemonSet", PLUGIN),
            f"DaemonSet {PLUGIN} was changed, and Kubernetes has not looked at the change",
        ),
        (broken(lambda one: one["metadata"].update(labels={}), "DaemonSet", PLUGIN), f"{PLUGIN} has no DaemonSet"),
        ([one for one in theirs() if one["kind"] != "ClusterPolicy"], "0 ClusterPolicies count"),
        ([one for one in theirs() if one["kind"] != "Node"], "no node has the label nvidia.com/gpu.present=true"),
        (
            broken(lambda one: one["status"]["capacity"].clear(), "Node", "gpu-a"),
            "node gpu-a: labels count 8 of nvidia.com/gpu, its capacity is 0",
        ),
    ],
)  # fmt: skip
def test_what_keeps_it_from_working_is_named(objects: list[Manifest], words: str) -> None:
    """Red when an operand with old pods, or none, counts as ready, or the one that lacks is not named."""
    told = OPERATOR.problem(served(*objects))
    assert words in told and bool(words) == bool(told)


def test_an_operand_that_the_policy_does_not_want_is_not_waited_for() -> None:
    """Red when a device plugin that was switched off is waited for."""
    objects = broken(lambda one: one["spec"].update(devicePlugin={"enabled": False}), "ClusterPolicy", "cluster-policy")
    objects = [one for one in objects if one["metadata"]["name"] != PLUGIN]
    assert OPERATOR.problem(served(*objects)) == ""


def test_whose_operator_there_is() -> None:
    """Red when a foreign operator, or a ClusterPolicy or GPUCluster alone, is taken for absence."""
    by_dra = made("nvidia.com/v1alpha1", "GPUCluster", "gpu-cluster", status={"state": "ready"})
    alone = OPERATOR.detect(Objects(served(by_dra)))
    assert alone is not None and alone.how == "manifests, a GPUCluster without an operator that we may see"
    assert OPERATOR.detect(Objects(served())) is None
    there = OPERATOR.detect(Objects(served(operators.policy())))
    assert there is not None and there.version == "v25.10.0"
    there = OPERATOR.detect(Objects(served(operators.deployment())))
    assert there is not None and str(there) == "somebody else's: v25.10.0 in gpu-operator, manifests"


def test_an_operator_that_is_there_is_used_with_its_own_plugin() -> None:
    """Red when the operator's own device plugin keeps it from being used, or the DRA driver is put beside it."""
    plugin = operators.daemonset(PLUGIN)
    plugin["spec"]["template"]["spec"]["containers"][0]["image"] = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"
    plugin["metadata"]["ownerReferences"] = [{"kind": "ClusterPolicy"}]
    objects = Objects(served(operators.deployment(), operators.policy(), plugin))
    refuse_doubled([OPERATOR], objects)
    with pytest.raises(ClusterError, match=r"would offer the same GPUs twice, and it is there .*GPU Operator"):
        refuse_doubled([component("dra-driver")], objects)
    with pytest.raises(ClusterError, match="both are asked for"):
        refuse_doubled([OPERATOR, component("device-plugin")], Objects(served()))


def test_gpus_that_somebody_offers_already_are_not_offered_twice() -> None:
    """Red when the operator is put beside a device plugin that is known by nothing but what nodes offer."""
    nodes = [operators.node("a"), operators.node("b"), operators.node("c")]
    for one in nodes:
        one["metadata"]["labels"] = {}
    nodes[0]["status"]["allocatable"] = {"nvidia.com/gpu": "0", "cpu": "8"}  # what is left of one that was removed
    (line,) = OPERATOR.lacking(Objects(served(*nodes)))
    assert line.startswith("node b and 1 more offers GPUs of nvidia.com already, so each would be offered twice")
    with pytest.raises(ClusterError, match="cannot be installed: node b and 1 more offers GPUs"):
        plan([Wanted(OPERATOR, Wish("nvidia/gpu-operator"))], Objects(served(*nodes)), Assets())
    for one in nodes:
        one["metadata"]["labels"] = {"nvidia.com/gpu.deploy.device-plugin": "false"}
    assert OPERATOR.lacking(Objects(served(*nodes))) == ()


def test_pods_that_hold_gpus_keep_it() -> None:
    """Red when the driver goes while somebody's pod runs on a GPU."""
    spec: Manifest = {"nodeName": "a", "containers": [{"resources": {"limits": {"nvidia.com/mig-1g.5gb": "1"}}}]}
    pods = [
        made("v1", "Pod", "theirs", "team", spec=spec, status={"phase": "Running"}),
        made("v1", "Pod", "done", "team", spec=spec, status={"phase": "Succeeded"}),
        made("v1", "Pod", "its-own", "gpu-operator", spec=spec, status={"phase": "Running"}),
        made("v1", "Pod", "plain", "team", spec={"nodeName": "a", "containers": [{}]}, status={"phase": "Running"}),
    ]
    assert [ref.name for ref in OPERATOR.in_use(Objects(served(*pods)))] == ["theirs"]


def test_its_runtime_classes_go_with_it() -> None:
    """Red when a RuntimeClass of the operator's stays, or another's goes."""
    classes = [operators.runtime_class("nvidia"), operators.runtime_class("runc")]
    assert [ref.name for ref in OPERATOR.made(Objects(served(*classes)))] == ["nvidia"]
