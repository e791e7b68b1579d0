"""What a real node has beside its kubelet: the container runtime, its network, and the containers' program."""

from __future__ import annotations

from gpuassay.toolchain.component import MODULES, Component

_CONTAINERD = "github.com/containerd/containerd/v2"
_RUNC = "github.com/opencontainers/runc"
_CNI = "github.com/containernetworking/plugins"

NODE_PROGRAMS = (
    Component(
        name="containerd",
        directory=MODULES / "containerd",
        module=_CONTAINERD,
        packages={name: f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        stamps={f"{_CONTAINERD}/version.Version": "{version}"},
        cpu_seconds=110,
        optional=True,
    ),
    Component(
        name="runc",
        directory=MODULES / "runc",
        module=_RUNC,
        packages={"runc": _RUNC},
        # Without seccomp no sandbox starts: the kubelet always asks for the runtime's default profile.
        tags=("seccomp", "netgo", "osusergo"),
        stamps={"main.gitCommit": "{version}"},
        cpu_seconds=20,
        optional=True,
        cgo=True,
        link=("-extldflags -static",),
        libraries=("libseccomp",),
    ),
    Component(
        name="cni-plugins",
        directory=MODULES / "cni-plugins",
        module=_CNI,
        packages={
            "bridge": f"{_CNI}/plugins/main/bridge",
            "host-local": f"{_CNI}/plugins/ipam/host-local",
            "loopback": f"{_CNI}/plugins/main/loopback",
        },
        cpu_seconds=8,
        optional=True,
    ),
    Component(
        name="workload",
        directory=MODULES / "workload",
        module="gpuassay.dev/toolchain/workload",
        packages={"workload": "gpuassay.dev/toolchain/workload"},
        cpu_seconds=2,
        optional=True,
        own=True,
    ),
)
