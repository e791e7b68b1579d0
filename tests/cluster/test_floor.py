"""A cluster's own nodes stand in racks for a while, and are afterwards what they were."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.manifest import Manifest
from gpuassay.provision import changes
from gpuassay.provision.objects import Objects
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kueue.acts import floor
from gpuassay.systems.kueue.acts.floor import HOST, Own, Plan, suitable
from tests.cluster.kueue_in_pods import Standing, marked

RUN = "20260101-000000-aaaa"
TWO_BLOCKS = Plan({"a1": "a", "a2": "a", "b1": "b", "b2": "b"}, folds=True)


def node(name: str, *, ready: str = "True", host: str = "", **spec: Any) -> Manifest:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {HOST: host or name}}, "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}], "capacity": {"cpu": "2"}, "allocatable": {}},
    }  # fmt: skip


def lab(api: Standing, token: str = "racked-xabc123") -> Lab:
    return cast("Lab", SimpleNamespace(api=api, token=token, run_id=RUN))


def standing(*names: str) -> Standing:
    api = Standing()
    for name in names:
        api.stored["Node", name] = node(name)
    return api


def test_only_nodes_that_any_pod_may_use_are_taken() -> None:
    """Red when a rack holds a node on which no pod may be placed, or that Kueue knows by another name."""
    nodes = [
        node("good"),
        node("down", ready="False"),
        node("cordoned", unschedulable=True),
        node("control", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]),
        node("renamed", host="ip-10-0-0-1"),
    ]
    assert suitable(nodes) == ["good"]


def test_on_few_nodes_a_rack_is_one_node_with_all_of_its_gpus() -> None:
    """Red when a scenario that needs two nodes per rack is folded, or one that does not is left out."""
    assert TWO_BLOCKS.on(8) == TWO_BLOCKS
    folded = TWO_BLOCKS.on(4)
    assert (folded.per_rack, folded.each) == (1, 8)
    whole = Plan({"a1": "a"})
    assert whole.on(1) == whole


def test_plans_of_several_arms_spread_over_the_nodes() -> None:
    own = Own(["n1", "n2", "n3"])
    api = standing("n1", "n2", "n3")
    taken = [
        own.lay(lab(api, f"arm-xabc{number:03d}"), Plan({"pool": "pool"}, per_rack=1, each=8, first=number)).racks
        for number in range(5)
    ]
    assert [next(iter(one)) for one in taken] == ["n1", "n2", "n3", "n1", "n2"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_nodes_are_given_back_as_they_were(elsewhere: bool) -> None:
    """Red when a label or a resource of ours stays on a node, also where another process has to clean up."""
    api = standing("n1", "n2", "n3", "n4")
    before = copy.deepcopy(api.stored)
    own = Own(["n1", "n2", "n3", "n4"])
    laid = own.lay(lab(api), TWO_BLOCKS)
    assert laid.racks == {"n1": "a1", "n2": "a2", "n3": "b1", "n4": "b2"}
    assert laid.blocks == {"n1": "a", "n2": "a", "n3": "b", "n4": "b"}
    n3 = api.stored["Node", "n3"]
    assert n3["metadata"]["labels"] | laid.labels == n3["metadata"]["labels"]
    assert (n3["metadata"]["labels"][laid.rack], n3["metadata"]["labels"][laid.block]) == ("b1", "b")
    assert n3["status"]["allocatable"][laid.resource] == "8"
    second = own.lay(lab(api, "other-xdef456"), Plan({"a1": "a"}))
    assert second.resource != laid.resource and len(second.racks) == 2
    if elsewhere:
        for one in changes.read_all(cast("Any", api)):
            changes.undo(Objects(cast("Any", api)), one)
    else:
        floor.undo(cast("Any", api), RUN)
    assert api.stored == before and marked(api.stored) == []
