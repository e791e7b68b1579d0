"""What is built from what: one entry per component, one go.mod per entry or family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError

MODULES = Path(__file__).parent / "modules"
"""Holds one Go module per directory, each with its committed go.sum."""

AT = "@"
"""Stands between a component and one of its other versions."""


_KUBE = "k8s.io/kubernetes/cmd"
_KUBE_VERSION = "k8s.io/component-base/version"
_KUBE_STAMPS = {
    f"{_KUBE_VERSION}.gitVersion": "{version}",
    f"{_KUBE_VERSION}.gitMajor": "{major}",
    f"{_KUBE_VERSION}.gitMinor": "{minor}",
    f"{_KUBE_VERSION}.gitTreeState": "clean",
}
_KUBERNETES = MODULES / "kubernetes"
_RAISED = "dependencies raised to Kueue's versions"
_ONE_PROGRAM = "upstream's commands linked into one program"
_CONTAINERD = "github.com/containerd/containerd/v2"
_RUNC = "github.com/opencontainers/runc"
_CNI = "github.com/containernetworking/plugins"
_KUEUE_PERF = "sigs.k8s.io/kueue/test/performance/scheduler"
_JOBSET, _LWS = "sigs.k8s.io/jobset", "sigs.k8s.io/lws"
_LLMD_EPP = "github.com/llm-d/llm-d-inference-scheduler"
_LLMD_SIM = "github.com/llm-d/llm-d-inference-sim"
_DEVICE_PLUGIN = "github.com/NVIDIA/k8s-device-plugin"
_NVIDIA_DRA = "sigs.k8s.io/dra-driver-nvidia-gpu"
_LAZY = "-extldflags=-Wl,-z,lazy"
"""NVML's functions are found at run time: bound at start-up, a program would end for the first that is missing."""
_GAIE = "sigs.k8s.io/gateway-api-inference-extension"

_GATEWAY_API = "sigs.k8s.io/gateway-api"
_CRDS = ("config/crd/bases/*.yaml",)
_CHARTS = ("config/charts/epplib/**/*", "config/charts/standalone/**/*")

_OWN: dict[str, Component] = {
    component.name: component
    for component in (
        Component(
            name="kueue",
            directory=MODULES / "kueue",
            module="sigs.k8s.io/kueue",
            packages={"kueue": "sigs.k8s.io/kueue/cmd/kueue"},
            stamps={"sigs.k8s.io/kueue/pkg/version.GitVersion": "{version}"},
            cpu_seconds=390,
            files={
                "sigs.k8s.io/kueue": (
                    "config/**/*",
                    "test/performance/scheduler/configs/baseline/generator.yaml",
                    "charts/kueue/**/*",
                ),
                "sigs.k8s.io/jobset": ("config/components/crd/bases/*.yaml",),
                "sigs.k8s.io/lws": ("config/crd/bases/*.yaml",),
            },
        ),
        Component(
            name="controlplane",
            directory=_KUBERNETES,
            module="k8s.io/kubernetes",
            packages=dict.fromkeys(
                ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
                "gpuassay.dev/toolchain/kubernetes/controlplane",
            ),
            # Without these the programs say v0.0.0-master, which clients that parse the version refuse.
            stamps=_KUBE_STAMPS,
            cpu_seconds=225,
            altered=f"{_ONE_PROGRAM}; {_RAISED}",
            follows="kueue",
        ),
        Component(
            name="kustomize",
            directory=_KUBERNETES,
            module="sigs.k8s.io/kustomize/kustomize/v5",
            packages={"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"},
            cpu_seconds=8,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="kwok",
            directory=MODULES / "kwok",
            module="sigs.k8s.io/kwok",
            packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
            stamps={"sigs.k8s.io/kwok/pkg/consts.Version": "{version}"},
            cpu_seconds=22,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="kueue-perf",
            directory=MODULES / "kueue",
            module="sigs.k8s.io/kueue",
            packages={"minimalkueue": f"{_KUEUE_PERF}/minimalkueue", "runner": f"{_KUEUE_PERF}/runner"},
            stamps={"sigs.k8s.io/kueue/pkg/version.GitVersion": "{version}"},
            cpu_seconds=120,
            optional=True,
        ),
        Component(
            name="jobset",
            directory=MODULES / "frameworks",
            module=_JOBSET,
            packages={"jobset": _JOBSET},
            cpu_seconds=30,
            optional=True,
            altered=_RAISED,
            follows="kueue",
            files={_JOBSET: ("charts/jobset/**/*",)},
        ),
        Component(
            name="lws",
            directory=MODULES / "frameworks",
            module=_LWS,
            packages={"lws": f"{_LWS}/cmd"},
            cpu_seconds=30,
            optional=True,
            altered=_RAISED,
            follows="kueue",
            files={_LWS: ("charts/lws/**/*",)},
        ),
        Component(
            name="llmd-epp",
            directory=MODULES / "llmd-epp",
            module=_LLMD_EPP,
            packages={"epp": f"{_LLMD_EPP}/cmd/epp"},
            cpu_seconds=200,
            files={
                _LLMD_EPP: ("deploy/components/inference-gateway/rbac.yaml",),
                "github.com/llm-d/llm-d-kv-cache": ("api/tokenizerpb/*.proto",),
                _GAIE: (*_CRDS, *_CHARTS),
            },
        ),
        Component(
            name="llmd-sim",
            directory=MODULES / "llmd-sim",
            module=_LLMD_SIM,
            packages={"llm-d-inference-sim": f"{_LLMD_SIM}/cmd/llm-d-inference-sim"},
            cpu_seconds=75,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="pd-sidecar",
            directory=MODULES / "llmd-epp",
            module=_LLMD_EPP,
            packages={"pd-sidecar": f"{_LLMD_EPP}/cmd/pd-sidecar"},
            cpu_seconds=350,
            optional=True,
        ),
        Component(
            name="gaie-epp",
            directory=MODULES / "gaie-epp",
            module=_GAIE,
            packages={"epp": f"{_GAIE}/cmd/epp"},
            cpu_seconds=300,
            optional=True,
            files={_GAIE: ("config/charts/*/templates/*rbac.yaml",)},
        ),
        Component(
            name="lwepp",
            directory=MODULES / "lwepp",
            module=_GAIE,
            packages={"lwepp": f"{_GAIE}/cmd/lwepp"},
            cpu_seconds=310,
            optional=True,
        ),
        Component(
            # Istio main of 2026-08-27 with istio.io/api 1.31.1, not a release: Istio tags none for Go modules.
            name="istio",
            directory=MODULES / "istio",
            module="istio.io/istio",
            packages={"pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery"},
            cpu_seconds=400,
            optional=True,
            files={
                _GATEWAY_API: ("config/crd/standard/*.yaml",),
                "istio.io/istio": ("manifests/charts/base/files/crd-all.gen.yaml",),
            },
        ),
        Component(
            name="gaie-conformance",
            directory=MODULES / "gaie-conformance",
            module=f"{_GAIE}/conformance",
            packages={
                "gaie-conformance": "gpuassay.dev/toolchain/gaie-conformance",
                "echo-basic": "sigs.k8s.io/gateway-api/conformance/echo-basic",
            },
            cpu_seconds=150,
            optional=True,
            files={
                _GATEWAY_API: ("config/crd/standard/*.yaml",),
                _GAIE: _CRDS,
                f"{_GAIE}/conformance": ("resources/base.yaml",),
            },
        ),
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
        Component(
            name="kubelet",
            directory=_KUBERNETES,
            module="k8s.io/kubernetes",
            packages={"kubelet": f"{_KUBE}/kubelet"},
            stamps=_KUBE_STAMPS,
            cpu_seconds=32,
            optional=True,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="kubectl",
            directory=_KUBERNETES,
            module="k8s.io/kubernetes",
            packages={"kubectl": f"{_KUBE}/kubectl"},
            stamps=_KUBE_STAMPS,
            cpu_seconds=30,
            optional=True,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="kube-proxy",
            directory=_KUBERNETES,
            module="k8s.io/kubernetes",
            packages={"kube-proxy": f"{_KUBE}/kube-proxy"},
            stamps=_KUBE_STAMPS,
            cpu_seconds=12,
            optional=True,
            altered=_RAISED,
            follows="kueue",
        ),
        Component(
            name="coredns",
            directory=MODULES / "coredns",
            module="github.com/coredns/coredns",
            packages={"coredns": "gpuassay.dev/toolchain/coredns"},
            cpu_seconds=60,
            optional=True,
            altered=f"with the plugins of Kubernetes' manifest alone; {_RAISED}",
            follows="kueue",
        ),
        Component(
            name="helm",
            directory=MODULES / "helm",
            module="helm.sh/helm/v4",
            packages={"helm": "helm.sh/helm/v4/cmd/helm"},
            stamps={"helm.sh/helm/v4/internal/version.version": "{version}"},
            cpu_seconds=60,
            optional=True,
            altered=_RAISED,
            follows="kueue",
        ),
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
}
"""Every component at the suite's own version, by name."""


_ALTERED = {
    "controlplane@1.37.1": _ONE_PROGRAM,
    "nvidia-dra@0.4.1": "",
}
"""How other versions differ from what upstream publishes, where that is not as of the suite's own version."""


def _other_versions() -> dict[str, Component]:
    """Components at versions that the suite is run on beside its own: a folder `NAME@VERSION` of modules for each."""
    found: dict[str, Component] = {}
    for directory in sorted(MODULES.glob(f"*{AT}*")):
        base = _OWN[directory.name.partition(AT)[0]]
        found[directory.name] = replace(
            base, name=directory.name, directory=directory, optional=True, follows="",
            altered=_ALTERED.get(directory.name, base.altered),
        )  # fmt: skip
    return found


COMPONENTS: dict[str, Component] = {**_OWN, **_other_versions()}
"""Every component by name, other versions too."""

NODE = ("containerd", "runc", "cni-plugins", "kubelet", "workload")
"""What a real node consists of."""

WHOLE = ("controlplane", "kwok", *NODE, "kube-proxy", "coredns")
"""What a whole cluster consists of (`gpuassay up --like-yours`)."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "slices": (*NODE, "nvidia-device-plugin", "nvidia-dra", "kubectl"),
    "upstream": (*NODE, "istio", "gaie-conformance"),
    "like-yours": (
        *WHOLE,
        "helm",
        "kueue",
        "kustomize",
        "jobset",
        "lws",
        "nvidia-device-plugin",
        "llmd-epp",
        "llmd-sim",
    ),
    "routing": ("gaie-epp", "lwepp", "pd-sidecar", "istio"),
    "all": tuple(_OWN),
}
"""Components that one kind of behaviours needs, by a name for `gpuassay build`; `all` builds everything, at
the suite's own versions."""


def release(version: str) -> tuple[int, ...]:
    """A release such as v1.36.2 as numbers that can be compared; what follows a "-" or "+" does not count."""
    return tuple(int(part) for part in version.removeprefix("v").split("-")[0].split("+")[0].split("."))


def selected(names: Iterable[str]) -> list[str]:
    """Components by their names and those of groups, each once; the required ones if none is named.

    Raises:
        ToolchainError: a name is neither; the message lists those there are.
    """
    found = [one for name in names for one in GROUPS.get(name) or (component(name).name,)]
    return list(dict.fromkeys(found)) or required()


def versions(name: str) -> list[str]:
    """Versions of a component that can be built, its own first, without the leading `v`."""
    others = [one.partition(AT)[2] for one in COMPONENTS if one.startswith(f"{name}{AT}")]
    return [component(name).version.removeprefix("v"), *others]


def nearest(wanted: str, there: Iterable[str]) -> str | None:
    """The release of `there` that differs least from `wanted`: in its major version first, then minor, then patch.

    None where `wanted` is no release.
    """
    try:
        numbers = release(wanted)
        return min(there, key=lambda one: [abs(a - b) for a, b in zip(release(one), numbers, strict=False)])
    except ValueError:
        return None


def at_version(name: str, version: str) -> Component:
    """A component at one of its versions.

    Raises:
        ToolchainError: no such component, or not at this version; the message lists those there are.
    """
    own, wanted = component(name), version.removeprefix("v")
    if wanted == own.version.removeprefix("v"):
        return own
    try:
        return COMPONENTS[f"{name}{AT}{wanted}"]
    except KeyError:
        there = versions(name)
        near = nearest(wanted, there)
        meant = f"; nearest is {near}" if near else ""
        raise ToolchainError(
            f"{name} cannot be built at version {version}: there are {', '.join(there)}{meant}"
            f" (bring your own: --asset {name}=DIR)"
        ) from None


def component(name: str) -> Component:
    """The component called `name`.

    Raises:
        ToolchainError: there is none; the message lists those there are.
    """
    try:
        return COMPONENTS[name]
    except KeyError:
        there = ", ".join((*COMPONENTS, *(f"group {group}" for group in GROUPS)))
        raise ToolchainError(f"no component is called {name!r}; there are {there}") from None


def required() -> list[str]:
    """Names of the components that the suite cannot run without, in the order in which they are built."""
    return [name for name, entry in COMPONENTS.items() if not entry.optional]
