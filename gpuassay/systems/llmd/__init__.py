"""Cache-aware LLM routing: endpoint pickers (llm-d, Gateway API Inference Extension) and their gateways.

The names of this page are its public face for suites, beside its folders.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuassay.cluster.parallel import side_by_side as side_by_side
    from gpuassay.systems.llmd.acts.deployment import Deployment as Deployment
    from gpuassay.systems.llmd.acts.deployment import opened as opened
    from gpuassay.systems.llmd.acts.lab import RoutingLab as RoutingLab
    from gpuassay.systems.llmd.component.spec import Arm as Arm
    from gpuassay.systems.llmd.readings import RoutingRecording as RoutingRecording

_PLACE_OF = {
    "Arm": "gpuassay.systems.llmd.component.spec",
    "Deployment": "gpuassay.systems.llmd.acts.deployment",
    "RoutingLab": "gpuassay.systems.llmd.acts.lab",
    "RoutingRecording": "gpuassay.systems.llmd.readings",
    "opened": "gpuassay.systems.llmd.acts.deployment",
    "side_by_side": "gpuassay.cluster.parallel",
}

__all__ = [*_PLACE_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: judging needs no cluster client."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACE_OF[name]), name)
