"""Which node of somebody's cluster a scenario of slices is given, and what counts as evidence that a pod ran there."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gpuassay.cluster.errors import ClusterError, NotFromOutside
from gpuassay.manifest import Manifest
from gpuassay.systems.slices.outside import claimable, evidence, held, supply
from gpuassay.workloads import containers
from gpuassay.workloads.real import with_real_containers

RUN = "run-1"


def node(name: str, *, ready: bool = True, labels: dict[str, str] | None = None, **offers: str) -> Manifest:
    """A node; `offers` as mig_1g_5gb or gpu."""
    resources = {f"nvidia.com/{one.replace('_', '-', 1).replace('_', '.')}": count for one, count in offers.items()}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "kind": "Node", "metadata": {"name": name, "labels": labels or {}}, "spec": {},
        "status": {"conditions": conditions, "allocatable": {"cpu": "4", **resources}},
    }  # fmt: skip


def user(at: str, resource: str, count: int = 1, *, run: str = "", phase: str = "Running") -> Manifest:
    marks = {"gpuassay.io/run": run} if run else {}
    main = {"name": "main", "resources": {"limits": {resource: str(count)}}}
    return {
        "kind": "Pod", "metadata": {"name": "p", "namespace": "theirs", "labels": marks},
        "spec": {"nodeName": at, "containers": [main]}, "status": {"phase": phase},
    }  # fmt: skip


class Api:
    """Lists, and nothing else."""

    def __init__(self, **kinds: list[Manifest]) -> None:
        self.kinds = kinds

    def list(self, kind: str, namespace: str | None = None, label_selector: str = "") -> list[Manifest]:
        del namespace, label_selector
        return self.kinds.get(kind, [])


def supplies(nodes: list[Manifest], wanted: dict[str, int], pods: list[Manifest] | None = None) -> list[supply.Supply]:
    there: Any = Api(Node=nodes, Pod=pods or [])
    return supply.supplies(there, RUN, wanted)


def test_what_is_held_is_all_that_the_scenario_does_not_want() -> None:
    """Red when a scenario that fills a node would find more free than it is written for."""
    found = supplies([node("a", mig_1g_5gb="4", mig_3g_20gb="2", gpu="1")], {"1g.5gb": 1, "3g.20gb": 1})[0]
    assert (found.node, dict(found.wanted)) == ("a", {"1g.5gb": 1, "3g.20gb": 1})
    assert found.surplus == {"1g.5gb": 3, "3g.20gb": 1, "gpu": 1}


def test_slices_of_others_are_not_free_and_ours_are() -> None:
    """Red when somebody's pod would be counted away, or a scenario would wait for pods of its own run for ever."""
    nodes = [node("a", mig_1g_5gb="3")]
    theirs = [user("a", "nvidia.com/mig-1g.5gb"), user("b", "nvidia.com/mig-1g.5gb")]
    assert supplies(nodes, {"1g.5gb": 2}, theirs)[0].free == {"1g.5gb": 2}
    assert supplies(nodes, {"1g.5gb": 3}, [user("a", "nvidia.com/mig-1g.5gb", 3, run=RUN)])[0].surplus == {}
    assert supplies(nodes, {"1g.5gb": 3}, [user("a", "nvidia.com/mig-1g.5gb", phase="Succeeded")])
    with pytest.raises(NotFromOutside, match=r"no node has 3 x nvidia.com/mig-1g.5gb free.*a has 2 x"):
        supplies(nodes, {"1g.5gb": 3}, theirs)


@pytest.mark.parametrize(
    "unfit",
    [
        node("a", ready=False, gpu="8"),
        node("a", labels={"nvidia.com/gpu.sharing-strategy": "time-slicing"}, gpu="8"),
        node("a", gpu="0"),
        node("a") | {"spec": {"unschedulable": True}},
    ],
)
def test_nodes_that_are_not_ready_or_share_their_gpus_are_left_alone(unfit: Manifest) -> None:
    with pytest.raises(NotFromOutside, match="no node offers any"):
        supplies([unfit], {"1g.5gb": 1})


def test_a_node_is_one_scenarios_at_a_time() -> None:
    """Red when two scenarios exhaust one node at once, or a node that is given back is lost."""
    seen: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with supply.turn("c", lambda: ["a"], str):
            inside.set()
            leave.wait(20)
            seen.append("first")

    other = threading.Thread(target=first)
    other.start()
    assert inside.wait(20)
    with supply.turn("c", lambda: ["a", "b"], str) as free:
        assert free == "b"
    leave.set()
    with supply.turn("c", lambda: ["a"], str) as again:
        seen.append(again)
    other.join()
    assert seen == ["first", "a"]


# --- GPUs of the DRA driver ------------------------------------------------------------------------------------------


def devices(*numbers: int, node_: str = "a", product: str = "NVIDIA A100-SXM4-40GB", mig: bool = True) -> Manifest:
    found: list[Manifest] = []
    for number in numbers:
        told = {"productName": {"string": product}, "parentUUID": {"string": f"GPU-{number}"}}
        names = [f"gpu-{number}-mig-1g5gb-19-{start}" for start in range(2)] if mig else [f"gpu-{number}"]
        found += [{"name": name, "attributes": told} for name in names]
    return {"spec": {"driver": "gpu.nvidia.com", "nodeName": node_, "devices": found}}


def claim(device: str, namespace: str = "theirs") -> Manifest:
    results = [{"driver": "gpu.nvidia.com", "pool": "a", "device": device}]
    return {
        "metadata": {"name": "c", "namespace": namespace}, "status": {"allocation": {"devices": {"results": results}}},
    }  # fmt: skip


def claimables(slices: list[Manifest], claims: list[Manifest], wanted: int) -> list[claimable.Claimable]:
    ours = [{"metadata": {"name": "ours"}}]
    there: Any = Api(ResourceSlice=slices, ResourceClaim=claims, Node=[node("a")], Namespace=ours)
    return claimable.claimables(there, RUN, ["a100-40gb"] * wanted)


def test_gpus_that_others_use_are_passed_over_and_the_rest_is_held() -> None:
    """Red when a GPU of somebody's is cut, or one that nobody uses stays free beside the scenario's."""
    there = [devices(0, 1, 2, 3)]
    found = claimables(there, [claim("gpu-1-mig-1g5gb-19-0"), claim("gpu-0-mig-1g5gb-19-0", "ours")], 2)[0]
    assert (dict(found.gpus), found.others) == ({0: "GPU-0", 2: "GPU-2"}, ("GPU-3",))
    assert found.model.name == "a100-40gb"
    with pytest.raises(NotFromOutside, match="3 GPUs of a are free, 4 are wanted"):
        claimables(there, [claim("gpu-1")], 4)


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        ([], "offers no device on a node that takes pods"),
        ([devices(0, mig=False)], "offers no slices: feature gate DynamicMIG"),
        ([devices(0, product="NVIDIA X")], "whose slices are known: NVIDIA X"),
        ([devices(0, product="NVIDIA A30")], "is cut otherwise than a a100-40gb"),
    ],
)
def test_what_a_driver_lacks_is_told(slices: list[Manifest], told: str) -> None:
    with pytest.raises(NotFromOutside, match=told):
        claimables(slices, [], 1)


# --- evidence --------------------------------------------------------------------------------------------------------


def ran(**more: Any) -> tuple[Manifest, str]:
    """A pod that ran, and what it said."""
    steps = (*evidence.WITNESS[:-1], evidence.sum_step(), ("print", "."), ("wait",))
    made = with_real_containers(containers.pod("p", "ns", *steps, node="n"), "busybox:1.37")
    status = {"name": "main", "imageID": "sha256:x", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    made["status"] = {"containerStatuses": [status | more]}
    made["spec"]["nodeName"] = "n"
    return made, f"\nsum={evidence.asked_sum(made, 'main')}\n.\n"


def test_a_container_that_computed_ran() -> None:
    pod, words = ran()
    evidence.require(pod, "main", words)


def test_a_node_that_runs_nothing_is_no_evidence() -> None:
    """Red when what KWOK or a virtual kubelet says of a pod is taken for its word."""
    pod, words = ran()
    for said in ("", words.replace("sum=", "sum=1")):
        with pytest.raises(ClusterError, match="there is no evidence of it: what it was to compute"):
            evidence.require(pod, "main", said)
    hollow, words = ran(imageID="", state={"running": {}})
    with pytest.raises(ClusterError, match="an image and a time of its start; a node that runs no containers"):
        evidence.require(hollow, "main", words)
    with pytest.raises(ClusterError, match="what it was to compute"):
        evidence.require(containers.pod("p", "ns"), "main", words)


def test_the_kubelets_word_is_read_from_every_container() -> None:
    """Red when a device of a second container is missed, or a kubelet that says nothing for one that gave nothing."""
    told = [{"name": "nvidia.com/mig-1g.5gb", "resources": [{"resourceID": "MIG-1", "health": "Healthy"}]}]
    other = [{"name": "nvidia.com/mig-1g.5gb", "resources": [{"resourceID": "MIG-2", "health": "Healthy"}]}]
    statuses = [{"name": "a", "allocatedResourcesStatus": told}, {"name": "b", "allocatedResourcesStatus": other}]
    assert held.allocated({"status": {"containerStatuses": statuses}}) == {"nvidia.com/mig-1g.5gb": ["MIG-1", "MIG-2"]}
    assert held.allocated({"status": {"containerStatuses": [{"name": "a"}]}}) is None
