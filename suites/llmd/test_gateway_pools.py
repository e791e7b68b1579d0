"""Two pools behind one gateway: by header and by weight, each with its own picker.

The shape of the configuration is what the protocol asks for: whoever chooses a pool must have its picker asked, not the
one of the other pool. An answer of 200 does not tell; the pickers' own counters do.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from gpuassay import MUST, Measure, behaviour, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway.configuration import PICKER, POOL
from gpuassay.systems.llmd.judge import gateway_pools, routing
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://gateway-api.sigs.k8s.io/reference/spec/#httproutebackendref"

WEIGHT = 70
"""Percent of weighted requests that go to the second pool."""
WEIGHTED = 120
BY_HEADER = 12
_TYPE = "type.googleapis.com/envoy"
_ARM = Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY)


def _second_pool(other: Deployment, bootstrap: dict[str, Any]) -> None:
    """Add the pool of another arm, its picker, a route by header and one by weight to a gateway's bootstrap."""
    picker = other.routing.picker
    assert picker is not None
    clusters: list[dict[str, Any]] = bootstrap["static_resources"]["clusters"]
    if not any(one["name"] == PICKER for one in clusters):
        return
    for one in list(clusters):
        second = copy.deepcopy(one) | {"name": f"second-{one['name']}", "type": "STATIC"}
        second.pop("eds_cluster_config", None)
        ports = [replica.endpoint for replica in other.replicas] if one["name"] == POOL else [picker.asked_at]
        hosts = [{"endpoint": {"address": _address(port)}} for port in ports]
        second["load_assignment"] = {"cluster_name": second["name"], "endpoints": [{"lb_endpoints": hosts}]}
        clusters.append(second)
    manager: dict[str, Any] = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    routes: list[dict[str, Any]] = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    action = {key: value for key, value in routes[0]["route"].items() if key != "cluster"}
    weighted = [
        {"name": f"second-{POOL}", "weight": WEIGHT, "typed_per_filter_config": _asks(f"second-{PICKER}")},
        {"name": POOL, "weight": 100 - WEIGHT, "typed_per_filter_config": _asks(PICKER)},
    ]
    routes[:0] = [
        {"match": _has("by-header"), "route": {**action, "cluster": f"second-{POOL}"},
         "typed_per_filter_config": _asks(f"second-{PICKER}")},
        {"match": _has("by-weight"), "route": {**action, "weighted_clusters": {"clusters": weighted}}},
    ]  # fmt: skip


def _address(endpoint: str) -> dict[str, Any]:
    host, _, port = endpoint.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _has(value: str) -> dict[str, Any]:
    return {"prefix": "/", "headers": [{"name": "x-way", "string_match": {"exact": value}}]}


def _asks(picker: str) -> dict[str, Any]:
    service = {"envoy_grpc": {"cluster_name": picker, "authority": "localhost"}, "timeout": "10s"}
    kind = f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
    return {"envoy.filters.http.ext_proc": {"@type": kind, "overrides": {"grpc_service": service}}}


@scenario(system="routing", timeout=40)
def two_pools(lab: RoutingLab) -> None:
    """One gateway with two pools: 12 requests to the first, 12 to the second by header, 120 split by weight."""
    with opened(lab, replace(_ARM, gateway=None), name="second") as second:
        arm = replace(_ARM, change_gateway=partial(_second_pool, second))
        with opened(lab, arm, name="first") as first:
            calls = Calls(first)
            lab.note(notes.POOLS["first"], first.routing.namespace)
            lab.note(notes.POOLS["second"], second.routing.namespace)
            _scrape(first, second, "start")
            for wave, count, headers in (
                ("plain", BY_HEADER, {}),
                ("by-header", BY_HEADER, {"x-way": "by-header"}),
                ("by-weight", WEIGHTED, {"x-way": "by-weight"}),
            ):
                calls.many(wave, count, at_once=4, headers=headers)
                _scrape(first, second, wave)


def _scrape(first: Deployment, second: Deployment, label: str) -> None:
    for name, site in (("first", first), ("second", second)):
        assert site.routing.picker is not None
        rows = site.routing.picker.metrics()
        first.lab.samples += [{"source": f"{name} picker", "label": label, **row} for row in rows]


def _pools(recording: RoutingRecording, wave: str) -> Counter[str]:
    names = {recording.note(one): pool for pool, one in notes.POOLS.items()}
    return gateway_pools.pools_served(recording.asks(wave), names)


@behaviour(
    "llmd.gateway.pool-by-header", level=MUST, spec=SPEC,
    red_when="the routing header does not decide which pool serves", mutant="gateway-one-pool",
)  # fmt: skip
def test_a_header_chooses_the_pool(two_pools: RoutingRecording) -> None:
    """Requests with the routing header are served by the second pool, those without by the first."""
    assert _pools(two_pools, "plain") == {"first": BY_HEADER}
    assert _pools(two_pools, "by-header") == {"second": BY_HEADER}


@behaviour(
    "llmd.gateway.pool-by-weight", level=MUST, spec=SPEC,
    red_when="weights do not decide how many requests each pool serves", mutant="gateway-one-pool",
)  # fmt: skip
def test_weights_divide_requests_between_pools(two_pools: RoutingRecording, measure: Measure) -> None:
    """Of 120 requests, about 70 % go to the pool of weight 70 (false alarm 1e-4)."""
    seen = _pools(two_pools, "by-weight")
    low, high = gateway_pools.weight_bounds(WEIGHTED, WEIGHT / 100)
    measure.value(second_pool=seen["second"], asked=WEIGHTED)
    measure.interval(low, high)
    assert seen.total() == WEIGHTED, routing.shown(two_pools.asks("by-weight"))
    assert low <= seen["second"] <= high, seen


@behaviour(
    "llmd.gateway.pool-asks-its-own-picker", level=MUST, spec=SPEC,
    red_when="the EPP of another pool than the serving one is consulted, and round-robin fallback hides it",
    mutant="gateway-one-picker",
)  # fmt: skip
def test_each_pool_has_its_own_picker_asked(two_pools: RoutingRecording) -> None:
    """Each pool's EPP counts exactly the requests that its own pool served, by header and by weight."""
    for before, wave in pairwise(("start", "plain", "by-header", "by-weight")):
        counted = {
            pool: gateway_pools.picker_counted(
                *(two_pools.metrics(label, f"{pool} picker") for label in (before, wave))
            )
            for pool in ("first", "second")
        }
        assert not gateway_pools.asked_of_findings(wave, _pools(two_pools, wave), counted)
        assert not routing.asked_findings(two_pools.asks(wave))
