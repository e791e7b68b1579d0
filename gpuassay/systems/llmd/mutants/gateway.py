"""Broken gateways: configurations that somebody has written, most of which answer 200 all day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpuassay.load.headers import DESTINATION
from gpuassay.systems.llmd.gateway.configuration import PICKER, POOL
from gpuassay.systems.llmd.mutants.arm import arm_mutant

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.spec import Arm

_TYPE = "type.googleapis.com/envoy"
_LONG = "300s"


def _with_gateway(arm: Arm, change: Callable[[dict[str, Any]], None]) -> Arm:
    """The arm with a gateway whose bootstrap is changed after the arm's own change; without a fixed one, as it is."""
    if arm.gateway in (None, "istio"):
        return arm

    def both(bootstrap: dict[str, Any]) -> None:
        if arm.change_gateway is not None:
            arm.change_gateway(bootstrap)
        change(bootstrap)

    return replace(arm, change_gateway=both)


def _manager(bootstrap: dict[str, Any]) -> dict[str, Any]:
    listener: dict[str, Any] = bootstrap["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def _routes(bootstrap: dict[str, Any]) -> list[dict[str, Any]]:
    return _manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"]


def _cluster(bootstrap: dict[str, Any], name: str) -> dict[str, Any]:
    none: dict[str, Any] = {}
    return next((one for one in bootstrap["static_resources"]["clusters"] if one["name"] == name), none)


def _policy(bootstrap: dict[str, Any]) -> dict[str, Any]:
    """Configuration of the pool's load-balancing policy; empty in a design without one."""
    none: dict[str, Any] = {"policies": [{"typed_extension_config": {"typed_config": {}}}]}
    policies = _cluster(bootstrap, POOL).get("load_balancing_policy", none)["policies"]
    return policies[0]["typed_extension_config"]["typed_config"]


def _add_filter(bootstrap: dict[str, Any], name: str, config: dict[str, Any], *, last: bool = False) -> None:
    """Put an HTTP filter before all others (the last one to see an answer), or as the `last` before the router."""
    filters: list[dict[str, Any]] = _manager(bootstrap)["http_filters"]
    filters.insert(len(filters) - 1 if last else 0, {"name": name, "typed_config": config})


def _lua(bootstrap: dict[str, Any], code: str, *, last: bool = False) -> None:
    name = "envoy.filters.http.lua"
    source = {"@type": f"{_TYPE}.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": code}}
    _add_filter(bootstrap, name, source, last=last)


_ONE_LATE = f"""
local last
function envoy_on_request(h)
  local now = h:headers():get("{DESTINATION}")
  if last and now then h:headers():replace("{DESTINATION}", last) end
  last = now
end
"""


@arm_mutant("gateway-ignores-picks", "requests go round robin after the picker was asked, or to an earlier pick")
def _ignores(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        policy = _policy(bootstrap)
        if "fallback_policy" not in policy:
            _lua(bootstrap, _ONE_LATE, last=True)
            return
        other: dict[str, Any] = {**_cluster(bootstrap, POOL), "name": "anybody"}
        other["load_balancing_policy"] = policy["fallback_policy"]
        other["eds_cluster_config"] = {**other["eds_cluster_config"], "service_name": POOL}
        bootstrap["static_resources"]["clusters"].append(other)
        [route] = _routes(bootstrap)
        half = {"default_value": {"numerator": 50}, "runtime_key": "gateway.half"}
        _routes(bootstrap).insert(
            0, {"match": {"prefix": "/", "runtime_fraction": half}, "route": {**route["route"], "cluster": "anybody"}}
        )

    return _with_gateway(arm, change)


@arm_mutant("gateway-hides-who-served", "the picker is not told which endpoint served")
def _hides(arm: Arm) -> Arm:
    return _with_gateway(arm, lambda bootstrap: _policy(bootstrap).pop("selected_host_key", None))


@arm_mutant("gateway-trusts-clients", "a client's own destination header counts for more than the pick")
def _trusts(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for one in _manager(bootstrap)["http_filters"]:
            if one["name"] == "envoy.filters.http.ext_proc":
                one["typed_config"]["mutation_rules"] = {"disallow_expression": {"regex": DESTINATION}}
        sources = _policy(bootstrap).get("override_host_sources")
        if sources is not None:
            sources.insert(0, {"header": DESTINATION})

    return _with_gateway(arm, change)


@arm_mutant("gateway-goes-anywhere", "the gateway sends requests wherever a pick says, pool or not")
def _anywhere(arm: Arm) -> Arm:
    return replace(arm, gateway="standalone") if arm.gateway == "override-host" else arm


@arm_mutant("gateway-never-retries", "a request whose replica refuses the connection is given up")
def _never_retries(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            route["route"].pop("retry_policy", None)

    return _with_gateway(arm, change)


@arm_mutant("gateway-never-gives-up", "a request is tried again for longer than any client waits")
def _never_gives_up(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            route["route"]["retry_policy"] = {
                "retry_on": "connect-failure,reset-before-request,5xx", "num_retries": 100_000,
                "retry_back_off": {"base_interval": "0.5s", "max_interval": "5s"},
            }  # fmt: skip

    return _with_gateway(arm, change)


@arm_mutant("gateway-retries-refusals", "a model server's own 5xx is taken for a failure of the way, and asked again")
def _retries_refusals(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            route["route"]["retry_policy"] = {"retry_on": "5xx,connect-failure", "num_retries": 2}

    return _with_gateway(arm, change)


@arm_mutant("gateway-buffers", "answers are held until they are complete")
def _buffers(arm: Arm) -> Arm:
    return _with_gateway(arm, lambda bootstrap: _lua(bootstrap, "function envoy_on_response(h) h:body(true) end"))


@arm_mutant("gateway-alters-answers", "a byte is added to every answer")
def _alters(arm: Arm) -> Arm:
    code = "function envoy_on_response(h) local b = h:body(true) b:setBytes(b:getBytes(0, b:length()) .. ' ') end"
    return _with_gateway(arm, lambda bootstrap: _lua(bootstrap, code))


@arm_mutant("gateway-hides-usage", "answers lose what they say of their tokens")
def _hides_usage(arm: Arm) -> Arm:
    code = """function envoy_on_response(h)
  local b = h:body(true)
  b:setBytes((string.gsub(b:getBytes(0, b:length()), '"usage"', '"spent"')))
end"""
    return _with_gateway(arm, lambda bootstrap: _lua(bootstrap, code))


@arm_mutant("gateway-swaps-models", "whatever model is asked for, the gateway asks for its first one and says so")
def _swaps_models(arm: Arm) -> Arm:
    code = f"""function envoy_on_request(h)
  local b = h:body(true)
  if b and b:length() > 0 then
    local text = string.gsub(b:getBytes(0, b:length()), '"model": *"[^"]*"', '"model": "{arm.model}"')
    h:headers():replace("content-length", b:setBytes(text))
  end
end"""
    return _with_gateway(arm, lambda bootstrap: _lua(bootstrap, code))


@arm_mutant("gateway-limits-bodies", "requests of more than 64 KiB are refused")
def _limits(arm: Arm) -> Arm:
    config = {"@type": f"{_TYPE}.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": 65536}
    return _with_gateway(arm, lambda bootstrap: _add_filter(bootstrap, "envoy.filters.http.buffer", config))


@arm_mutant("gateway-asks-twice", "every request is also sent to another member of the pool, whose answer is dropped")
def _asks_twice(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            route["route"]["request_mirror_policies"] = [{"cluster": POOL}]

    return _with_gateway(arm, change)


@arm_mutant("gateway-few-connections", "no more than two requests at a time pass to the pool")
def _few(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        limits = {"max_requests": 2, "max_pending_requests": 1, "max_connections": 2}
        _cluster(bootstrap, POOL)["circuit_breakers"] = {"thresholds": [limits]}

    return _with_gateway(arm, change)


@arm_mutant("gateway-shuns-long", "picker and replicas that failed once are left out for five minutes")
def _shuns(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for name in (POOL, PICKER):
            if cluster := _cluster(bootstrap, name):
                cluster["outlier_detection"] = {
                    "consecutive_5xx": 1,
                    "base_ejection_time": _LONG, "max_ejection_time": _LONG, "max_ejection_percent": 100,
                    "interval": "0.1s", "always_eject_one_host": True,
                    "successful_active_health_check_uneject_host": False,
                }  # fmt: skip
                cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}

    return _with_gateway(arm, change)


@arm_mutant("failure-mode-flipped", "FailOpen pools fail closed, FailClose pools fail open")
def _flipped(arm: Arm) -> Arm:
    return replace(arm, failure_mode="FailClose" if arm.failure_mode == "FailOpen" else "FailOpen")


def _everybody(routing: Routing) -> None:
    if routing.envoy is not None and routing.envoy.child.alive:
        routing.envoy.set_members([replica.endpoint for replica in routing.replicas])


@arm_mutant(
    "pool-of-yesterday", "nobody is asked, and the gateway's pool does not follow the Pods", disturb=_everybody
)  # fmt: skip
def _yesterday(arm: Arm) -> Arm:
    return replace(arm, gateway="no-picker") if arm.gateway not in (None, "istio") else arm


def _first_only(routing: Routing) -> None:
    if routing.envoy is not None and routing.envoy.child.alive and routing.arm.gateway == "override-host":
        routing.envoy.set_members([replica.endpoint for replica in routing.replicas][-1:])


@arm_mutant("pool-only-shrinks", "a replica that comes back is not taken into the gateway's pool", disturb=_first_only)
def _shrinks(arm: Arm) -> Arm:
    return arm


@arm_mutant("gateway-hurries", "an answer must be complete within half a second")
def _hurries(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            route["route"]["timeout"] = "0.5s"

    return _with_gateway(arm, change)


@arm_mutant("picker-unwatched", "nothing looks whether the picker is alive")
def _unwatched(arm: Arm) -> Arm:
    return _with_gateway(arm, lambda bootstrap: _cluster(bootstrap, PICKER).pop("health_checks", None))


@arm_mutant("picker-watched-seldom", "a picker that was found dead is looked at again after five minutes")
def _seldom(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for check in _cluster(bootstrap, PICKER).get("health_checks", []):
            check |= {"unhealthy_interval": _LONG, "unhealthy_edge_interval": _LONG}

    return _with_gateway(arm, change)


@arm_mutant("gateway-one-pool", "routes by header and by weight are not there: one pool gets everything")
def _one_pool(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        del _routes(bootstrap)[:-1]

    return _with_gateway(arm, change)


@arm_mutant("gateway-one-picker", "one picker is asked for all pools")
def _one_picker(arm: Arm) -> Arm:
    def change(bootstrap: dict[str, Any]) -> None:
        for route in _routes(bootstrap):
            for one in (route, *route["route"].get("weighted_clusters", {}).get("clusters", [])):
                one.pop("typed_per_filter_config", None)

    return _with_gateway(arm, change)


def _delay(bootstrap: dict[str, Any]) -> None:
    fault = {
        "@type": f"{_TYPE}.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "0.050s", "percentage": {"numerator": 100}},
    }
    _add_filter(bootstrap, "envoy.filters.http.fault", fault)


@arm_mutant("picker-slow", "asking the endpoint picker takes 50 ms longer")
def _slow(arm: Arm) -> Arm:
    return arm if arm.profile == "round-robin" else _with_gateway(arm, _delay)
