"""What a pod costs: container shapes, defaults of the namespace, and what Kueue is configured to count."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.model.charge import Counting, charge, pod_requests

GPU = "nvidia.com/gpu"
PLAIN = Counting()


def box(name: str = "c", *, limits: Manifest | None = None, **requests: str) -> Manifest:
    """A container; `cpu="1"` for its requests."""
    return {"name": name, "resources": {"requests": requests} | ({"limits": limits} if limits else {})}


def pod(*containers: Manifest, **more: Any) -> Manifest:
    """A pod spec."""
    return {"containers": list(containers), **more}


def cost(spec: Manifest, counting: Counting = PLAIN) -> dict[str, float]:
    """What it costs, as floats."""
    return {name: float(amount) for name, amount in charge(spec, counting)[0].items()}


SIDECAR = box("s", cpu="1") | {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (pod(box(cpu="1"), box(cpu="500m")), {"cpu": 1.5}),
        (pod(box(limits={GPU: "2"})), {GPU: 2}),
        (pod(box(limits={"cpu": "3"}, cpu="1")), {"cpu": 1}),
        (pod(box(cpu="1"), initContainers=[box(cpu="3"), box(cpu="2")]), {"cpu": 3}),
        (pod(box(cpu="1"), initContainers=[SIDECAR]), {"cpu": 2}),
        (pod(box(cpu="1"), initContainers=[SIDECAR, box(cpu="3")]), {"cpu": 4}),
        (pod(box(cpu="1"), initContainers=[box(cpu="3"), SIDECAR]), {"cpu": 3}),
        (pod(box(cpu="1"), overhead={"cpu": "250m", "memory": "8Mi"}), {"cpu": 1.25, "memory": 8 * 2**20}),
        (pod(box(cpu="1", memory="1Gi"), resources={"requests": {"cpu": "5"}}), {"cpu": 5, "memory": 2**30}),
        (pod(box(cpu="1"), resources={"limits": {"cpu": "5"}}), {"cpu": 1}),
        (pod(box(), resources={"limits": {"cpu": "5"}}), {"cpu": 5}),
        (pod(box(cpu="1"), resources={"requests": {GPU: "5"}}), {"cpu": 1}),
        (pod(box(cpu="0")), {}),
        (pod(box(cpu="100u", memory="1500m")), {"cpu": 0.001, "memory": 2}),
    ],
)
def test_shapes_of_pods(spec: Manifest, expected: dict[str, float]) -> None:
    """Red when containers, init containers, sidecars, overhead or pod-level resources are counted otherwise."""
    assert cost(spec) == expected


def limit_range(**entry: Manifest) -> Manifest:
    """A LimitRange for containers."""
    return {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", **entry}]}}


@pytest.mark.parametrize(
    ("entry", "spec", "expected"),
    [
        ({"defaultRequest": {"cpu": "1"}}, pod(box()), 1),
        ({"defaultRequest": {"cpu": "1"}}, pod(box(limits={"cpu": "3"})), 3),
        ({"default": {"cpu": "2"}}, pod(box()), 2),
        ({"max": {"cpu": "4"}}, pod(box()), 4),
        ({"default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}, pod(box(), box(cpu="3")), 4),
    ],
)
def test_a_limit_range_fills_in(entry: Manifest, spec: Manifest, expected: float) -> None:
    """Red when a default takes the place of what a container says, or of its own limit."""
    assert cost(spec, Counting(limit_ranges=[limit_range(**entry)])) == {"cpu": expected}


def test_the_runtime_class_brings_overhead() -> None:
    """Red when a RuntimeClass costs nothing."""
    counting = Counting(overheads={"vm": {"cpu": "1"}})
    assert cost(pod(box(cpu="1"), runtimeClassName="vm"), counting) == {"cpu": 2}


def test_transformations_and_exclusions() -> None:
    """Red when an input that is replaced still counts, one that is retained does not, or an excluded one does."""
    counting = Counting(
        transformations=[
            {"input": "x/replaced", "strategy": "Replace", "outputs": {"x/credit": "2"}},
            {"input": "x/retained", "outputs": {"x/credit": "1"}},
            {"input": "x/scaled", "strategy": "Replace", "multiplyBy": "x/retained", "outputs": {"x/area": "1"}},
        ],
        excluded=("x/excluded-",),
    )
    asked = {"x/replaced": "3", "x/retained": "4", "x/scaled": "5", "x/excluded-y": "6"}
    assert cost(pod({"name": "c", "resources": {"requests": asked}}), counting) == {
        "x/credit": 10,
        "x/retained": 4,
        "x/area": 20,
    }


def claim(**request: Any) -> Manifest:
    """A pod with one claim, and the template that it names."""
    return {"devices": {"requests": [{"name": "gpu", **request}]}}


def test_claims_count_as_devices() -> None:
    """Red when claimed devices are not counted under the name that stands for their class."""
    exactly = {"deviceClassName": "gpu.x", "count": 2}
    counting = Counting(claims={"gpu.x": "x/gpu"}, templates={"t": claim(exactly=exactly)})
    spec = pod(box(cpu="1"), resourceClaims=[{"name": "c", "resourceClaimTemplateName": "t"}])
    assert cost(spec, counting) == {"cpu": 1, "x/gpu": 2}


@pytest.mark.parametrize(
    "request_",
    [
        {"firstAvailable": [{"deviceClassName": "gpu.x"}]},
        {"exactly": {"deviceClassName": "gpu.x", "allocationMode": "All"}},
        {"exactly": {"deviceClassName": "gpu.x", "adminAccess": True}},
    ],
)
def test_what_the_model_does_not_know_it_says(request_: Manifest) -> None:
    """Red when a claim that the model cannot count is judged all the same."""
    counting = Counting(claims={"gpu.x": "x/gpu"}, templates={"t": claim(**request_)})
    spec = pod(box(cpu="1"), resourceClaims=[{"name": "c", "resourceClaimTemplateName": "t"}])
    assert charge(spec, counting) == ({"cpu": Fraction(1)}, {"x/gpu"})


def test_a_bad_quantity_is_named() -> None:
    """Red when a quantity that is none is read as something."""
    with pytest.raises(ValueError, match="not a Kubernetes quantity: 'many'"):
        pod_requests(pod(box(cpu="many")), PLAIN)
