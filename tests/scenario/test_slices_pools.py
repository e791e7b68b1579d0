"""Cases of the allocator as objects, and what is read from claims."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.slices.model.allocator import Given, Id
from gpuassay.systems.slices.model.pools import ALL, NO_EXECUTE, Ask, Case, Device, Slice, Want
from gpuassay.systems.slices.objects import pools

SHARED = Device("x", "b", 1, 4, NO_EXECUTE, {"units": 2}, multiple=True)
CASE = Case(
    [Slice("p", 1, 3, 2, [SHARED]), Slice("p", 1, 3, 2, counters={"units": 3}, elsewhere=True)],
    [Ask([Want(ALL, "b", True, 2), Want(2)], alike=True)],
)


def test_slices_say_what_the_case_says() -> None:
    """Red when a part of a device or of its pool gets lost on the way to the API."""
    devices, counters = (one["spec"] for one in pools.slices(CASE, "c-0", "here", "there"))
    assert devices["pool"] == {"name": "c-0-p", "generation": 3, "resourceSliceCount": 2}
    assert (devices["driver"], devices["nodeName"], counters["nodeName"]) == (pools.driver(1), "here", "there")
    assert devices["devices"] == [
        {
            "name": "x",
            "attributes": {"pool.gpuassay.io/model": {"string": "b"}, "pool.gpuassay.io/numa": {"int": 1}},
            "capacity": {"pool.gpuassay.io/memory": {"value": "4Gi"}},
            "taints": [{"key": "pool.gpuassay.io/taint", "value": "set", "effect": "NoExecute"}],
            "consumesCounters": [{"counterSet": "shared", "counters": {"units": {"value": "2"}}}],
            "allowMultipleAllocations": True,
        }
    ]
    assert counters["sharedCounters"] == [{"name": "shared", "counters": {"units": {"value": "3"}}}]


def test_claims_ask_what_the_case_asks() -> None:
    """Red when a request, a toleration, a part of memory or the constraint gets lost."""
    every, two = (one["exactly"] for one in _spec()["requests"])
    assert (every["allocationMode"], "count" in every) == ("All", False)
    assert every["tolerations"] == [{"operator": "Exists"}]
    assert every["capacity"] == {"requests": {"pool.gpuassay.io/memory": "2Gi"}}
    assert "model == 'b'" in every["selectors"][0]["cel"]["expression"]
    assert (two["allocationMode"], two["count"], "selectors" in two) == ("ExactCount", 2, False)
    assert _spec()["constraints"] == [{"matchAttribute": "pool.gpuassay.io/numa"}]


def _spec() -> Manifest:
    return pools.claim(CASE.asks[0], "c", "ns", "class")["spec"]["devices"]


@pytest.mark.parametrize(("quantity", "gi"), [("2Gi", 2), ("2048Mi", 2), ("2147483648", 2), ("1Mi", -1)])
def test_what_a_claim_holds_is_read(quantity: str, gi: int) -> None:
    """Red when a device, its request, or its share of memory is read as another."""
    result: Manifest = {"request": "r1", "driver": pools.driver(1), "pool": "c-0-p", "device": "x"}
    result["consumedCapacity"] = {"pool.gpuassay.io/memory": quantity}
    claim = {"status": {"allocation": {"devices": {"results": [result]}}}}
    assert pools.given(claim, "c-0") == [Given(1, Id(1, "p", "x"), gi)]
    assert pools.given({}, "c-0") is None
