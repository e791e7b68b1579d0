"""Configuration files of containerd, CNI and kubelet: pure functions of paths and addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOCKET = "/run/containerd/containerd.sock"
CDI = "/run/cdi"
PAUSE = "localhost/gpuassay/pause:1"
"""Image of the pods' sandboxes."""
WORKLOAD = "localhost/gpuassay/workload:1"
"""Image of our own program for containers (modules/workload/main.go says what it can do)."""
KUBELET_PORT = 10250
HEALTH_PORT = 10248
"""Ports of the kubelet, in the node's own network namespace: every node has the same."""


def containerd(
    root: Path,
    plugins: Path,
    network: Path,
    runc: Path,
    *,
    snapshotter: str,
    restrict_oom: bool,
    registries: Path | None = None,
    base_spec: Path | None = None,
) -> str:
    """Configuration of containerd (version 3 of its syntax).

    Args:
        root: folder for images and snapshots.
        plugins: folder of the CNI plugins.
        network: folder of the CNI configuration.
        runc: the program.
        snapshotter: `overlayfs`, or `native` where the folder's file system is an overlay itself.
        restrict_oom: leave the OOM score alone where lowering it takes a right that we lack (CAP_SYS_RESOURCE).
        registries: folder that says where images are pulled from; without it nothing is pulled.
        base_spec: what every container begins with (OCI Runtime Specification); containerd's own by default.
    """
    return f"""\
version = 3
root = {_text(root)}
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = {_text(SOCKET)}
[plugins.'io.containerd.cri.v1.images']
  snapshotter = {_text(snapshotter)}
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = {_text(PAUSE)}
{f"  [plugins.'io.containerd.cri.v1.images'.registry]{chr(10)}    config_path = {_text(registries)}" if registries else ""}
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = {str(restrict_oom).lower()}
  cdi_spec_dirs = [{_text(CDI)}]
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [{_text(plugins)}]
    conf_dir = {_text(network)}
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      {f"base_runtime_spec = {_text(base_spec)}" if base_spec else ""}
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = {_text(runc)}
        SystemdCgroup = false
"""  # noqa: E501 - a list in TOML


def _text(value: object) -> str:
    return json.dumps(str(value))


def cni(bridge: str, subnet: str, gateway: str, *, hairpin: bool = False) -> dict[str, Any]:
    """The pod network: the node's bridge, which is there already; addresses .10 to .250 of its /24.

    With `hairpin` a pod that asks a Service may be answered by itself.
    """
    prefix = subnet.rsplit(".", 1)[0]
    ranges = [[{
        "subnet": f"{prefix}.0/24", "rangeStart": f"{prefix}.10", "rangeEnd": f"{prefix}.250", "gateway": gateway,
    }]]  # fmt: skip
    plugin = {
        "type": "bridge", "bridge": bridge, "isGateway": False, "ipMasq": False, "hairpinMode": hairpin,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }  # fmt: skip
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]}


def kubelet(address: str, authority: Path, cgroup: str) -> dict[str, Any]:
    """KubeletConfiguration. What is switched off asks for rights, tools or space that a test machine may lack."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address, "port": KUBELET_PORT, "healthzPort": HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False}, "webhook": {"enabled": False}, "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{cgroup}", "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False, "failSwapOn": False,
        "localStorageCapacityIsolation": False, "makeIPTablesUtilChains": False,
        "evictionHard": {f"{one}.available": "0%" for one in ("imagefs", "nodefs", "memory")},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "", "clusterDNS": ["10.0.0.10"],  # else every pod gets a warning; nobody answers there
        "podLogsDir": "/var/log/pods",
        "nodeStatusUpdateFrequency": "2s", "nodeStatusReportFrequency": "5m",  # looks often, writes when it changed
        "nodeLeaseDurationSeconds": 40,
        "kubeAPIQPS": 100, "kubeAPIBurst": 200,
        "shutdownGracePeriod": "0s",
    }  # fmt: skip
