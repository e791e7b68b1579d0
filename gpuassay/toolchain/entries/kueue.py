"""Kueue, its own performance suite, and the job frameworks that it can queue."""

from __future__ import annotations

from gpuassay.toolchain.component import MODULES, Component
from gpuassay.toolchain.entries.words import RAISED

_KUEUE_PERF = "sigs.k8s.io/kueue/test/performance/scheduler"
_JOBSET, _LWS = "sigs.k8s.io/jobset", "sigs.k8s.io/lws"

KUEUE = (
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
        altered=RAISED,
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
        altered=RAISED,
        follows="kueue",
        files={_LWS: ("charts/lws/**/*",)},
    ),
)
