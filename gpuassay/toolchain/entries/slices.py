"""What hands out GPUs and their slices: NVIDIA's device plugin and DRA driver, and Kubernetes' example driver."""

from __future__ import annotations

from gpuassay.toolchain.component import MODULES, Component

_DEVICE_PLUGIN = "github.com/NVIDIA/k8s-device-plugin"
_NVIDIA_DRA = "sigs.k8s.io/dra-driver-nvidia-gpu"
_LAZY = "-extldflags=-Wl,-z,lazy"
"""NVML's functions are found at run time: bound at start-up, a program would end for the first that is missing."""

SLICES = (
    Component(
        name="nvidia-device-plugin",
        directory=MODULES / "nvidia-device-plugin",
        module=_DEVICE_PLUGIN,
        packages={
            "nvidia-device-plugin": f"{_DEVICE_PLUGIN}/cmd/nvidia-device-plugin",
            "gpu-feature-discovery": f"{_DEVICE_PLUGIN}/cmd/gpu-feature-discovery",
        },
        stamps={f"{_DEVICE_PLUGIN}/internal/info.version": "{version}"},
        cpu_seconds=120,
        files={_DEVICE_PLUGIN: ("deployments/helm/nvidia-device-plugin/**/*",)},
        optional=True,
        cgo=True,
        link=(_LAZY,),
    ),
    Component(
        name="nvidia-dra",
        directory=MODULES / "nvidia-dra",
        module=_NVIDIA_DRA,
        packages={"gpu-kubelet-plugin": f"{_NVIDIA_DRA}/cmd/gpu-kubelet-plugin"},
        stamps={f"{_NVIDIA_DRA}/internal/info.version": "{version}"},
        cpu_seconds=120,
        files={_NVIDIA_DRA: ("deployments/helm/dra-driver-nvidia-gpu/**/*", "hack/kubelet-plugin-prestart.sh")},
        optional=True,
        cgo=True,
        link=(_LAZY,),
        altered=(
            "driver logic unmodified, two dependencies replaced: k8s.io/kubernetes by v1.36.3, and "
            "github.com/NVIDIA/go-nvfm by a stub of ours that has no fabric manager"
        ),
    ),
    Component(
        name="dra-example",
        directory=MODULES / "dra-example",
        module="sigs.k8s.io/dra-example-driver",
        packages={"dra-example-kubeletplugin": "sigs.k8s.io/dra-example-driver/cmd/dra-example-kubeletplugin"},
        cpu_seconds=200,
        optional=True,
    ),
)
