"""Routing: endpoint pickers, the model server's simulator, and gateways."""

from __future__ import annotations

from gpuassay.toolchain.component import MODULES, Component
from gpuassay.toolchain.entries.words import RAISED

_LLMD_EPP = "github.com/llm-d/llm-d-inference-scheduler"
_LLMD_SIM = "github.com/llm-d/llm-d-inference-sim"
_GAIE = "sigs.k8s.io/gateway-api-inference-extension"
_GATEWAY_API = "sigs.k8s.io/gateway-api"
_CRDS = ("config/crd/bases/*.yaml",)
_CHARTS = ("config/charts/epplib/**/*", "config/charts/standalone/**/*")

ROUTING = (
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
        altered=RAISED,
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
)
