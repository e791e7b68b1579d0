"""Clusters that are ill, each in one way."""

from __future__ import annotations

from tests.operator_shapes.build import (
    GPU_CLUSTER,
    SEVENTHS,
    WHOLE,
    Drivers,
    Node,
    Seen,
    by_dra,
    cluster,
    policy,
)
from tests.operator_shapes.changes import (
    DRIVER,
    PLUGIN,
    Change,
    both,
    denied,
    labelled,
    no_slices,
    nobody,
    offers,
    on_node,
    only_first,
    outdated,
    page,
    pods_of,
    since,
    tainted,
    unplaced,
    waits,
    without,
)
from tests.operator_shapes.parts import (
    BY_RESOURCES,
    CONFIGS,
    DRA,
    Shape,
    cut,
    driver_resource,
    in_pool,
    on_rhcos,
    pool_of,
    rhcos,
    with_branch,
)

AWAY = {"gpu__deploy__device_plugin": "paused-for-driver-upgrade"}


def _vanilla(change: Change) -> Seen:
    seen = cluster(Node())
    change(seen)
    return seen


def _after(seen: Seen, *changes: Change) -> Seen:
    both(*changes)(seen)
    return seen


SLICED = cut("all-1g.5gb", [SEVENTHS] * 8)
ILL: dict[str, Shape] = {
    "the policy is not ready": Shape(
        cluster(Node(), told=[policy("notReady")]), {"policy-ready": "is notReady, expected ready"}
    ),
    "the policy is ready, its conditions deny it": Shape(
        _vanilla(denied), {"policy-ready": "its conditions deny it: no kernel headers"}
    ),
    "a ClusterPolicy and a GPUCluster": Shape(
        _vanilla(lambda seen: seen["GPUCluster"].append(GPU_CLUSTER)), {"policy-ready": "exclude each other"}
    ),
    "an NVIDIADriver is not ready": Shape(
        cluster(in_pool("a100"), drivers=[pool_of("a100")], told=[
            BY_RESOURCES, driver_resource("a100", "580.65.06") | {"status": {"state": "notReady"}}]),
        {"policy-ready": "NVIDIADriver a100 is notReady"},
    ),
    "GPUCluster is not ready": Shape(
        cluster(DRA, told=[GPU_CLUSTER | {"status": {"state": "notReady"}}], slices=by_dra("gpu-a")),
        {"policy-ready": "GPUCluster gpu-cluster is notReady"}, left_out=("versions-agree",),
    ),
    "GPUCluster, a node without devices": Shape(
        cluster(DRA, told=[GPU_CLUSTER]), {"offered-once": "no device in ResourceSlices"},
        left_out=("versions-agree",),
    ),
    "GPUCluster, the exporter tells of fewer GPUs than there are": Shape(
        cluster(DRA, told=[GPU_CLUSTER], slices=by_dra("gpu-a", count=9)),
        {"metrics-complete": "8 of 9 GPUs in ResourceSlices are told"},
        left_out=("versions-agree",),
    ),
    "GPUCluster, no DRA driver": Shape(
        _after(cluster(DRA, told=[GPU_CLUSTER], slices=by_dra("gpu-a")),
               without("Pod", "nvidia-dra-driver-kubelet-plugin")),
        {"operands-ready": "nvidia-dra-driver-kubelet-plugin has no ready pod on node gpu-a"},
        left_out=("versions-agree",),
    ),
    "the device plugin crashes": Shape(
        _vanilla(pods_of(PLUGIN, **waits("CrashLoopBackOff", 1))),
        {"operands-ready": "is waiting: CrashLoopBackOff, last exit code 1, 5 restarts"},
    ),
    "an image cannot be pulled": Shape(
        _vanilla(pods_of("nvidia-dcgm-exporter", **waits("ImagePullBackOff"))),
        {"operands-ready": "nvidia-dcgm-exporter has no ready pod on node gpu-a: container main is waiting: ImagePull"},
    ),
    "the driver crashes, and keeps operands away": Shape(
        _vanilla(both(labelled(0, **AWAY), pods_of(DRIVER, **waits("CrashLoopBackOff", 1)))),
        {"operands-ready": "nvidia-driver-daemonset has no ready pod on node gpu-a: container main is waiting",
         "nodes-settled": "kept away although nothing is being changed: device-plugin (paused-for-driver-upgrade)"},
        left_out=("capacity-as-labelled", "nothing-stale"),
    ),
    "a driver crashes in the middle of its upgrade": Shape(
        _after(cluster(Node(), Node("gpu-b")), labelled(1, gpu_driver_upgrade_state="pod-restart-required"),
               on_node("gpu-b", pods_of(DRIVER, **waits("CrashLoopBackOff", 1)))),
        {"operands-ready": "nvidia-driver-daemonset has no ready pod on node gpu-b"}, moving="pod-restart-required",
    ),
    "the validator waits for ever": Shape(
        _vanilla(pods_of("nvidia-operator-validator", phase="Pending", initContainerStatuses=[
            {"name": "toolkit-validation", "state": {"running": {"startedAt": "x"}}}])),
        {"operands-ready": "init container toolkit-validation has not ended"},
    ),
    "a pod cannot be placed": Shape(
        _vanilla(unplaced), {"operands-ready": "on node gpu-a: Unschedulable: Insufficient cpu"}
    ),
    "a taint keeps the device plugin away": Shape(
        _vanilla(tainted), {"operands-ready": "there is no pod; its taints are maintenance:NoExecute"}
    ),
    "no driver for a node's kernel": Shape(
        cluster(Node(labels={"feature.node.kubernetes.io/kernel-version.full": "6.8.0-1"}), drivers=[
            Drivers(selects={"feature.node.kubernetes.io/kernel-version.full": "5.15.0-161-generic"})]),
        {"operands-ready": "no DaemonSet selects it (nvidia-driver-daemonset wants"},
    ),
    "no driver for a node's RHCOS": Shape(
        cluster(on_rhcos("a", "418.94"), on_rhcos("b", "418.95"), drivers=[rhcos("418.94")]),
        {"operands-ready": "nvidia-driver-daemonset has no ready pod on node b: no DaemonSet selects it"},
    ),
    "an operand has no DaemonSet": Shape(
        _vanilla(both(without("DaemonSet", "gpu-feature-discovery"),
                             without("Pod", "gpu-feature-discovery"))),
        {"operands-ready": "gpu-feature-discovery has no DaemonSet"},
    ),
    "an operand belongs nowhere": Shape(
        _vanilla(labelled(gpu__deploy__operator_validator=None)), {"operands-ready": "but no node has the label"}
    ),
    "a node is down": Shape(
        _after(cluster(Node(), Node("gpu-b", up=False)), on_node("gpu-b", pods_of(PLUGIN))),
        {"operands-ready": "on node gpu-b: the node itself is not Ready"},
    ),
    "old pods of the device plugin": Shape(
        _vanilla(outdated(PLUGIN)), {"operands-current": f"of an old revision of DaemonSet {PLUGIN}"}
    ),
    "old drivers that nobody replaces": Shape(
        _vanilla(outdated(DRIVER)), {"operands-current": f"pod {DRIVER}-gpu-a on node gpu-a is of an old revision"}
    ),
    "old pods, revisions may not be read": Shape(
        _vanilla(both(nobody("ControllerRevision"), lambda seen: [
            one["status"].update(updatedNumberScheduled=0) for one in seen["DaemonSet"]])),
        {"operands-current": "1 pods of DaemonSet nvidia-driver-daemonset are of an old revision, or missing"},
    ),
    "a change that Kubernetes has not looked at": Shape(
        _vanilla(lambda seen: [one["metadata"].update(generation=3) for one in seen["DaemonSet"]]),
        {"operands-current": "Kubernetes has not looked at the change"},
    ),
    "an upgrade has failed on one of two nodes": Shape(
        _after(cluster(Node(), Node("gpu-b")), labelled(1, gpu_driver_upgrade_state="upgrade-failed")),
        {"nodes-settled": "node gpu-b: the upgrade of its driver has failed"},
    ),
    "a drain that takes two hours": Shape(
        _vanilla(both(labelled(gpu_driver_upgrade_state="drain-required"),
                             since("nvidia.com/gpu-driver-upgrade-state", 7200))),
        {"nodes-settled": "in state drain-required for 120 min"}, moving="drain-required",
    ),
    "a cut that hangs": Shape(
        _vanilla(both(labelled(mig__config="all-1g.5gb", mig__config__state="rebooting"),
                             since("nvidia.com/mig.config.state", 4000))),
        {"nodes-settled": "being cut as all-1g.5gb (state rebooting) for 67 min"}, moving="rebooting",
    ),
    "a cut that failed": Shape(
        _vanilla(labelled(mig__config="all-9g.5gb", mig__config__state="failed")),
        {"nodes-settled": "MIG configuration all-9g.5gb could not be applied"},
    ),
    "operands stay paused after a cut": Shape(
        _after(cluster(SLICED, configs=CONFIGS), labelled(gpu__deploy__dcgm_exporter="paused-for-mig-change"),
               without("Pod", "nvidia-dcgm-exporter")),
        {"nodes-settled": "dcgm-exporter (paused-for-mig-change)"},
    ),
    "nobody takes up a MIG configuration": Shape(
        _vanilla(labelled(mig__config="all-1g.5gb")), {"nodes-settled": "nobody has taken it up"}
    ),
    "no node is labelled": Shape(
        _vanilla(labelled(gpu__present=None)), {"nodes-labelled": "no node has the label"},
        left_out=(
            "operands-ready", "nodes-settled", "versions-agree", "capacity-as-labelled", "nothing-stale",
            "devices-healthy", "metrics", "metrics-complete",
        ),
    ),
    "one of two nodes is not labelled": Shape(
        _after(cluster(Node(), Node("gpu-b")), labelled(1, gpu__present=None)),
        {"nodes-labelled": "node gpu-b has a GPU by label feature.node.kubernetes.io/pci-10de.present"},
    ),
    "no RuntimeClass": Shape(_vanilla(nobody("RuntimeClass")), {"runtime-classes": "there is no RuntimeClass nvidia"}),
    "another branch than the precompiled one": Shape(
        with_branch("570.124.06"), {"versions-agree": "the driver is 570.124.06, 580 is asked for"}
    ),
    "another driver than the NVIDIADriver's": Shape(
        cluster(in_pool("a100", "570.124.06"), drivers=[pool_of("a100")],
                told=[BY_RESOURCES, driver_resource("a100", "580.65.06")]),
        {"versions-agree": "the driver is 570.124.06, 580.65.06 is asked for"},
    ),
    "slices outlived a cut": Shape(
        _after(cluster(SLICED, configs=CONFIGS), offers("mig-3g.20gb", 2, 2)),
        {"nothing-stale": "2 of nvidia.com/mig-3g.20gb are offered, and no label counts them",
         "mig-as-configured": "makes 56 mig-1g.5gb, allocatable are 56 mig-1g.5gb, 2 mig-3g.20gb"},
    ),
    "whole GPUs outlived a cut": Shape(
        _after(cluster(SLICED, configs=CONFIGS), offers("gpu", 8, 8)),
        {"nothing-stale": "8 of nvidia.com/gpu are offered"},
    ),
    "MIG single, the node cannot be so": Shape(
        _after(cluster(Node(strategy="single", plugin=False)), labelled(
            gpu__product="NVIDIA-A100-SXM4-40GB-MIG-INVALID", gpu__count="0", gpu__replicas="0")),
        {"capacity-as-labelled": "do not fit MIG strategy single"}, left_out=("metrics-complete",),
    ),
    "a GPU is lost": Shape(
        _vanilla(offers("gpu", 7, 7)), {"capacity-as-labelled": "labels count 8 of nvidia.com/gpu, its capacity is 7"}
    ),
    "a GPU is not healthy": Shape(
        _vanilla(offers("gpu", 8, 7)), {"devices-healthy": "1 of 8 nvidia.com/gpu are not healthy"}
    ),
    "no GPU is healthy": Shape(
        _vanilla(offers("gpu", 8, 0)), {"devices-healthy": "8 of 8 nvidia.com/gpu are not healthy"}
    ),
    "slices are not healthy": Shape(
        _after(cluster(SLICED, configs=CONFIGS), offers("mig-1g.5gb", 56, 49)),
        {"devices-healthy": "7 of 56 nvidia.com/mig-1g.5gb are not healthy",
         "mig-as-configured": "makes 56 mig-1g.5gb, allocatable are 49 mig-1g.5gb"},
    ),
    "shares under both names": Shape(
        _after(cluster(Node(replicas=4, renamed=True)), offers("gpu", 8, 8)),
        {"capacity-as-labelled": "offered under two names at once, 8 whole and 32 shared"},
    ),
    "half a node is cut, and too many GPUs are whole": Shape(
        _after(cluster(cut("half", [SEVENTHS, WHOLE]), configs=CONFIGS), offers("gpu", 2, 2)),
        {"capacity-as-labelled": "labels count 1 of nvidia.com/gpu, its capacity is 2"},
    ),
    "device plugin and DRA": Shape(
        cluster(Node(), slices=by_dra("gpu-a")), {"offered-once": "offered by device plugin and DRA at once"}
    ),
    "device plugin and DAS": Shape(
        _vanilla(offers("mig.das.com/1g.5gb", 7, 7)), {"offered-once": "device plugin and DAS at once"}
    ),
    "MIG manager's success without slices": Shape(
        cluster(cut("all-1g.5gb", [WHOLE] * 8), configs=CONFIGS),
        {"mig-as-configured": "makes 56 mig-1g.5gb, labels count no slice"},
    ),
    "MIG manager's success, single, without slices": Shape(
        cluster(cut("all-1g.5gb", [WHOLE] * 8, "single"), configs=CONFIGS),
        {"mig-as-configured": "makes slices, the GPUs are labelled NVIDIA-A100-SXM4-40GB"},
    ),
    "MIG manager's success with the slices before": Shape(
        cluster(cut("all-disabled", [SEVENTHS] * 2), configs=CONFIGS),
        {"mig-as-configured": "makes no slice, labels count 14 mig-1g.5gb"},
    ),
    "a configuration that nobody knows": Shape(
        cluster(cut("all-9g.5gb", [SEVENTHS] * 2), configs=CONFIGS),
        {"mig-as-configured": "no ConfigMap of the MIG manager has it"},
    ),
    "the exporter tells of one GPU of eight": Shape(
        _vanilla(page(only_first)), {"metrics-complete": "DCGM_FI_DEV_FB_FREE is told of 1 of 8 GPUs"}
    ),
    "the exporter tells of no slice": Shape(
        _after(cluster(SLICED, configs=CONFIGS), page(no_slices)),
        {"metrics-complete": "0 slices 1g.5gb are told, labels count 56"},
    ),
    "the exporter tells of no slice, single": Shape(
        _after(cluster(cut("all-1g.5gb", [SEVENTHS] * 8, "single"), configs=CONFIGS), page(no_slices)),
        {"metrics-complete": "0 slices are told, labels count 56"},
    ),
    "the exporter does not answer": Shape(
        _vanilla(lambda seen: [one.update(text="", error="503") for one in seen["Metrics"]]),
        {"metrics": "tells nothing: 503", "metrics-complete": "tells nothing: 503"},
    ),
}  # fmt: skip
