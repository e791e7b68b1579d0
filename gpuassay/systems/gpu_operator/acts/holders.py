"""Pods that hold GPUs or slices of the device plugin: their names and counts, and since when; nothing else of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.objects import GPU, PREFIX

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.api import Api


def holders(api: Api, nodes: Sequence[str]) -> list[Manifest]:
    """Running pods with GPUs on these nodes."""
    pods = [pod for node in nodes for pod in api.pages("/api/v1/pods", field_selector=f"spec.nodeName={node}")]
    return [_holder(one, held) for one in pods if _runs(one) and (held := _held(one))]


def both_times(before: Sequence[Manifest], after: Sequence[Manifest]) -> list[Manifest]:
    """All holders of either look, `steady` where both have them."""
    every = {str(one["pod"]): one for one in (*before, *after)}
    seen = {str(one["pod"]) for one in before} & {str(one["pod"]) for one in after}
    return [one | {"steady": name in seen} for name, one in every.items()]


def _runs(pod: Manifest) -> bool:
    return dig(pod, "status", "phase") == "Running" and not dig(pod, "metadata", "deletionTimestamp")


def _held(pod: Manifest) -> int:
    limits: list[dict[str, str]] = [
        dig(one, "resources", "limits", default={}) for one in dig(pod, "spec", "containers", default=[])
    ]
    return sum(
        int(count) for one in limits for name, count in one.items()
        if (name == GPU or name.startswith(f"{PREFIX}mig-")) and str(count).isdigit()
    )  # fmt: skip


def _holder(pod: Manifest, held: int) -> Manifest:
    began = dig(pod, "status", "startTime")
    age = (datetime.now(UTC) - datetime.fromisoformat(str(began))).total_seconds() if began else 0.0
    name = f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
    return {"kind": "Holder", "node": dig(pod, "spec", "nodeName"), "pod": name, "devices": held, "seconds": age}
