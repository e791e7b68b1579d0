"""The judge of whose GPUs are: content where exporters name the pods that hold them, a finding for each other case."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.acts.holders import both_times, holders
from gpuassay.systems.gpu_operator.judge.attribution import attribution_findings, steady_holders
from tests.operator_shapes.build import SEVENTHS, WHOLE, Node, Seen, cluster


def _holder(pod: str, devices: int = 1, seconds: float = 600, steady: bool = True) -> Manifest:
    return {"kind": "Holder", "node": "gpu-a", "pod": pod, "devices": devices, "seconds": seconds, "steady": steady}


def _seen(owners: dict[str, str], *held: Manifest, node: Node | None = None) -> Seen:
    """A node whose exporter names pods on cards or, as `card/instance`, on slices."""
    seen = cluster(node or Node(cards=(WHOLE, WHOLE, SEVENTHS), strategy="mixed"))
    lines = seen["Metrics"][0]["text"].splitlines()
    for at, pod in owners.items():
        card, _, instance = at.partition("/")
        space, name = pod.split("/")
        for number, line in enumerate(lines):
            mine = f'gpu="{card}"' in line and (
                f'GPU_I_ID="{instance}"' in line or (not instance and "GPU_I" not in line)
            )
            if mine and line.startswith("DCGM_FI_DEV_FB_USED"):
                lines[number] = line.replace("} 1", f',namespace="{space}",pod="{name}"}} 1')
    seen["Metrics"][0]["text"] = "\n".join(lines)
    seen["Holder"] = list(held)
    return seen


def test_pods_that_are_named_where_they_are_have_no_findings() -> None:
    """Red when a pod that is told where it is, or a young one that is not told yet, is a finding."""
    owners = {"0": "ml/train", "1": "ml/train", "2/3": "ml/serve"}
    seen = _seen(owners, _holder("ml/train", 2), _holder("ml/serve"), _holder("ml/new", seconds=5))
    assert attribution_findings(seen) == []
    assert [one["pod"] for one in steady_holders(seen)] == ["ml/train", "ml/serve"]


@pytest.mark.parametrize(
    ("owners", "held", "words"),
    [
        ({}, [_holder("ml/train")], "pod ml/train holds 1 GPUs or slices, the exporter names it on 0"),
        ({"0": "ml/train"}, [_holder("ml/train", 2)], "holds 2 GPUs or slices, the exporter names it on 1"),
        (
            {"0": "ml/train", "1": "ml/train"},
            [_holder("ml/train")],
            "holds 1 GPUs or slices, the exporter names it on 2",
        ),
        (
            {"0": "other/train"},
            [_holder("ml/train")],
            "GPU-gpu-a-0 is told to be of pod other/train, which holds nothing",
        ),
        ({"2/1": "ml/gone"}, [], "GPU-gpu-a-2/1 is told to be of pod ml/gone, which holds nothing there"),
    ],
)
def test_pods_that_are_not_are_found(owners: dict[str, str], held: list[Manifest], words: str) -> None:
    """Red when a pod is not named, is named on too few or too many, or one that is gone is named still."""
    assert any(words in one for one in attribution_findings(_seen(owners, *held)))


def test_shared_gpus_have_several_owners() -> None:
    """Red when two pods on one GPU that is shared are a finding; or decide anything."""
    node = Node(cards=(WHOLE,), replicas=4)
    assert attribution_findings(_seen({"0": "ml/a"}, _holder("ml/b"), node=node)) == []
    assert steady_holders(_seen({}, _holder("ml/b"), node=node)) == []


class Pods:
    """Serves pods of one node."""

    def __init__(self, *pods: Manifest) -> None:
        self.served = pods

    def pages(self, path: str, *, field_selector: str) -> tuple[Manifest, ...]:
        """All of them."""
        assert (path, field_selector) == ("/api/v1/pods", "spec.nodeName=gpu-a")
        return self.served


def _pod(name: str, phase: str = "Running", **limits: str) -> Manifest:
    named = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": count for key, count in limits.items()}
    containers: list[Any] = [{"resources": {"limits": named}, "env": [{"value": "S3CRET"}]}, {}]
    return {
        "metadata": {"name": name, "namespace": "ml"}, "spec": {"nodeName": "gpu-a", "containers": containers},
        "status": {"phase": phase, "startTime": "2026-01-01T00:00:00Z"},
    }  # fmt: skip


def test_who_holds_gpus_is_read_and_nothing_else() -> None:
    """Red when pods without GPUs, or ended ones, count, or more of a pod is kept than its name."""
    api: Any = Pods(_pod("a", gpu="2"), _pod("b", mig_1g__5gb="1"), _pod("c"), _pod("d", "Succeeded", gpu="1"))
    found = holders(api, ["gpu-a"])
    assert [(one["pod"], one["devices"]) for one in found] == [("ml/a", 2), ("ml/b", 1)]
    assert "S3CRET" not in repr(found) and all(one["seconds"] > 0 for one in found)
    told = both_times(found, found[1:])
    assert {one["pod"]: one["steady"] for one in told} == {"ml/a": False, "ml/b": True}
