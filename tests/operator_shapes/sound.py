"""Clusters that are well: every finding on one of them is a false alarm."""

from __future__ import annotations

from tests.operator_shapes.build import (
    BALANCED,
    DRA_DEPLOY,
    GPU_CLUSTER,
    SEVENTHS,
    WHOLE,
    Card,
    Node,
    by_dra,
    cluster,
    policy,
)
from tests.operator_shapes.changes import (
    DRIVER,
    PLUGIN,
    Change,
    both,
    cordoned,
    ignored,
    labelled,
    named,
    nobody,
    offers,
    on_node,
    pods_of,
)
from tests.operator_shapes.parts import (
    BY_RESOURCES,
    CONFIGS,
    DAS,
    DRA,
    FOR_MACHINES,
    MACHINES,
    ON_HOSTS,
    POOLS,
    WITH_MACHINES,
    WITHOUT_DRIVER,
    Shape,
    applied,
    cut,
    driver_resource,
    in_pool,
    on_rhcos,
    pool_of,
    rhcos,
    with_branch,
)

SOUND: dict[str, Shape] = {
    "vanilla": Shape(cluster(Node("gpu-a"), Node("gpu-b"))),
    "OpenShift with Driver Toolkit, two RHCOS versions": Shape(
        cluster(on_rhcos("a", "418.94"), on_rhcos("b", "418.95"), drivers=[rhcos("418.94"), rhcos("418.95")])
    ),
    "NVIDIADriver resources of two versions": Shape(
        cluster(
            in_pool("a100"), in_pool("h100", "570.124.06"), drivers=[pool_of(one) for one in POOLS],
            told=[BY_RESOURCES, driver_resource("a100", "580.65.06"), driver_resource("h100", "570.124.06")],
        )
    ),
    "NVIDIADriver of a precompiled branch": Shape(
        cluster(in_pool("a100"), drivers=[pool_of("a100")],
                told=[BY_RESOURCES, driver_resource("a100", "580", usePrecompiled=True)])
    ),
    "precompiled branch": Shape(with_branch()),
    "driver version with its operating system": Shape(
        cluster(Node(), told=[policy(driver={"version": "580.65.06-ubuntu22.04"})])
    ),
    "driver and toolkit on the hosts": Shape(
        cluster(Node(deploy=WITHOUT_DRIVER, labels={"nvidia.com/gpu.deploy.driver": "pre-installed"}), told=ON_HOSTS)
    ),
    "MIG mixed": Shape(cluster(cut("all-1g.5gb", [SEVENTHS] * 8), configs=CONFIGS)),
    "MIG mixed, a configuration by model": Shape(cluster(cut("all-balanced", [BALANCED] * 4), configs=CONFIGS)),
    "MIG single": Shape(cluster(cut("all-1g.5gb", [SEVENTHS] * 8, "single"), configs=CONFIGS)),
    "MIG capable, not cut": Shape(cluster(cut("all-disabled", [WHOLE] * 8), configs=CONFIGS)),
    "one GPU cut, one whole": Shape(cluster(cut("half", [SEVENTHS, WHOLE]), configs=CONFIGS)),
    "MIG mode with strategy none": Shape(cluster(Node(cards=(SEVENTHS,) * 2, strategy="none"))),
    "slices with attributes": Shape(cluster(Node(cards=(Card(("1g.5gb+me",)),), strategy="mixed"))),
    "time slicing": Shape(cluster(Node(replicas=4))),
    "time slicing, renamed, the old name left with 0": Shape(cluster(Node(replicas=4, renamed=True))),
    "time slicing, renamed a minute ago": Shape(cluster(Node(replicas=4, renamed=True))),
    "vGPU guests": Shape(cluster(Node(cards=(Card(model="NVIDIA-A10-24Q"),), driver="550.90.07",
                                      labels={"nvidia.com/vgpu.present": "true"}),
                                 told=[policy(driver={"version": "550.90.07-grid"})])),
    "vGPU hosts beside container nodes": Shape(
        cluster(Node("gpu-a"), Node("vm-a", deploy=MACHINES, labels=FOR_MACHINES, plugin=False, discovery=False),
                told=[WITH_MACHINES])
    ),
    "only hosts of virtual machines": Shape(
        cluster(Node("vm-a", deploy=MACHINES, labels=FOR_MACHINES, plugin=False, discovery=False),
                told=[WITH_MACHINES]),
        left_out=("metrics", "metrics-complete"),
    ),
    "GPUCluster, drivers on the hosts": Shape(
        cluster(DRA, told=[GPU_CLUSTER], slices=by_dra("gpu-a")), left_out=("versions-agree",)
    ),
    "GPUCluster with an NVIDIADriver": Shape(
        cluster(Node(deploy=DRA_DEPLOY, plugin=False, discovery=False, labels={"pool": "a100"}),
                told=[GPU_CLUSTER, driver_resource("a100", "580.65.06")], drivers=[pool_of("a100")],
                slices=by_dra("gpu-a")),
        left_out=("versions-agree",),
    ),
    "beside DAS": Shape(
        cluster(Node(cards=(Card(()),) * 8, strategy="mixed", plugin=False, labels=applied("all-enabled")), told=[DAS])
    ),
    "beside NVIDIA's DRA driver": Shape(
        cluster(Node(plugin=False), told=[DAS], slices=by_dra("gpu-a"))
    ),
    "mixed node pools, one without MIG": Shape(
        cluster(cut("all-1g.5gb", [SEVENTHS] * 2),
                Node("gpu-t4", cards=(Card(model="Tesla-T4"),), deploy=Node().deploy[:-1]), configs=CONFIGS)
    ),
    "two models on a node": Shape(cluster(Node(cards=(WHOLE, Card(model="Tesla-T4")), labels={
        "nvidia.com/gpu.count": "1"}))),
    "a node from which its owner keeps operands away": Shape(
        cluster(Node("gpu-a"), Node("gpu-b", deploy=(), plugin=False,
                                    labels={f"nvidia.com/gpu.deploy.{one}": "false" for one in Node().deploy}))
    ),
    "no node takes operands": Shape(
        cluster(Node(deploy=(), plugin=False, labels={"nvidia.com/gpu.deploy.operands": "false"})),
        left_out=("metrics", "metrics-complete", "operands-current"),
    ),
    "a cordoned node": Shape(cluster(Node("gpu-a"), Node("gpu-b"))),
    "a policy that is ignored beside the one that counts": Shape(cluster(Node())),
    "devices by the NRI plugin": Shape(cluster(Node(), told=[policy(cdi={"enabled": True, "nriPluginEnabled": True})])),
    "a RuntimeClass of the owner's choice": Shape(cluster(Node(), told=[policy(operator={"runtimeClass": "gpu"})])),
    "GPUs under a name of the owner's choice": Shape(cluster(Node(plugin=False))),
    "a driver upgrade under way": Shape(cluster(Node("gpu-a"), Node("gpu-b")), moving="in state drain-required"),
    "a node waits for its turn to be upgraded": Shape(cluster(Node("gpu-a"), Node("gpu-b")), moving="upgrade-required"),
    "a node is being cut": Shape(cluster(Node("gpu-a"), Node("gpu-b")), moving="being cut as all-1g.5gb"),
    "a node came back, its driver starts": Shape(cluster(Node("gpu-a"), Node("gpu-b")), moving="its driver starts"),
    "revisions may not be read": Shape(cluster(Node())),
}  # fmt: skip
"""Clusters that are well, as they are; some get a touch more in `TOUCHES`."""


AWAY = {"gpu__deploy__device_plugin": "paused-for-driver-upgrade"}
STARTS = {"phase": "Pending", "initContainerStatuses": [{"name": "k8s-driver-manager", "state": {"running": {"a": 1}}}]}
TOUCHES: dict[str, Change] = {
    "time slicing, renamed a minute ago": offers("gpu", 8, 0),
    "beside DAS": offers("mig.das.com/1g.5gb", 56, 56),
    "a policy that is ignored beside the one that counts": ignored,
    "devices by the NRI plugin": nobody("RuntimeClass"),
    "a RuntimeClass of the owner's choice": named,
    "GPUs under a name of the owner's choice": offers("fast-gpu", 8, 8),
    "a cordoned node": cordoned,
    "a driver upgrade under way": both(
        labelled(1, gpu_driver_upgrade_state="drain-required", **AWAY),
        on_node("gpu-b", pods_of(PLUGIN, phase="Pending")),
        lambda seen: next(one for one in seen["Pod"] if one["metadata"]["name"] == f"{DRIVER}-gpu-b")["metadata"][
            "labels"].update({"controller-revision-hash": "r1"}),
    ),
    "a node waits for its turn to be upgraded": labelled(1, gpu_driver_upgrade_state="upgrade-required"),
    "a node is being cut": both(
        labelled(1, mig__config="all-1g.5gb", mig__config__state="pending",
                 gpu__deploy__device_plugin="paused-for-mig-change"),
        on_node("gpu-b", pods_of(PLUGIN, phase="Pending")), offers("gpu", 8, 0, 1),
    ),
    "a node came back, its driver starts": both(
        labelled(1, **AWAY), on_node("gpu-b", pods_of(DRIVER, **STARTS)), offers("gpu", 8, 0, 1)
    ),
    "revisions may not be read": nobody("ControllerRevision"),
}  # fmt: skip
