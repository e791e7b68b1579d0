"""Broken gateways of Istio: settings and objects that somebody has forgotten; most of them look healthy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpuassay.load.headers import DESTINATION
from gpuassay.systems.llmd.mutants.arm import arm_mutant

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest
    from gpuassay.systems.llmd.component.spec import Arm

ISTIO = "istio"
_HCM = "envoy.filters.network.http_connection_manager"
_MANAGER: dict[str, Any] = {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": _HCM}}}}


def _lua(code: str) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    source = {"@type": kind, "default_source_code": {"inline_string": code}}
    return {"name": "envoy.filters.http.lua", "typed_config": source}


def with_objects(arm: Arm, change: Callable[[list[Manifest]], None]) -> Arm:
    """The arm with objects that are changed after its own change; without Istio, as it is."""
    if arm.gateway != ISTIO:
        return arm

    def both(manifests: list[Manifest]) -> None:
        if arm.change_objects is not None:
            arm.change_objects(manifests)
        change(manifests)

    return replace(arm, change_objects=both)


def with_patches(arm: Arm, *patches: dict[str, Any]) -> Arm:
    """The arm with an EnvoyFilter of these patches."""

    def add(manifests: list[Manifest]) -> None:
        from gpuassay.systems.llmd.gateway.istio_objects import filter_of

        namespace = manifests[0]["metadata"]["namespace"]
        manifests.append(filter_of("broken", namespace, list(patches)))

    return with_objects(arm, add)


def _filter(arm: Arm, value: dict[str, Any]) -> Arm:
    """The arm with an HTTP filter before all others."""
    patch = {"operation": "INSERT_FIRST", "value": value}
    return with_patches(arm, {"applyTo": "HTTP_FILTER", "match": _MANAGER, "patch": patch})


def _env(arm: Arm, **env: str) -> Arm:
    return replace(arm, istiod_env={**arm.istiod_env, **env}) if arm.gateway == ISTIO else arm


@arm_mutant("istio-without-inference", "istiod knows no InferencePool: the feature is off")
def _without(arm: Arm) -> Arm:
    return _env(arm, ENABLE_GATEWAY_API_INFERENCE_EXTENSION="false")


@arm_mutant("istio-own-filters", "istiod sends filters that only Istio's build of Envoy has")
def _own_filters(arm: Arm) -> Arm:
    return _env(arm, PILOT_ENABLE_METADATA_EXCHANGE="true")


@arm_mutant("istio-never-told", "istiod writes no status")
def _untold(arm: Arm) -> Arm:
    return _env(arm, PILOT_ENABLE_GATEWAY_API_STATUS="false")


def cut_out() -> dict[str, Any]:
    """The patch that takes the picker out of the gateway's listener."""
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": "envoy.filters.http.ext_proc"},
        }}}},
        "patch": {"operation": "REMOVE"},
    }  # fmt: skip


@arm_mutant("istio-picker-cut-out", "the filter that asks the picker is not there; every condition is good")
def _cut_out(arm: Arm) -> Arm:
    return with_patches(arm, cut_out())


@arm_mutant("istio-headers-ignored", "a rule matches whatever headers a request has")
def _headers(arm: Arm) -> Arm:
    return _filter(arm, _lua('function envoy_on_request(h) h:headers():remove("x-way") end'))


@arm_mutant("istio-never-retries", "a request whose replica refuses the connection is given up")
def _never_retries(arm: Arm) -> Arm:
    retries = {"route": {"retry_policy": {"num_retries": 0, "retry_on": "cancelled"}}}
    return with_patches(
        arm, {"applyTo": "HTTP_ROUTE", "match": {"context": "GATEWAY"},
              "patch": {"operation": "MERGE", "value": retries}},
    )  # fmt: skip


@arm_mutant("istio-mode-frozen", "the gateway fails open whatever the pool says")
def _frozen(arm: Arm) -> Arm:
    return with_patches(
        arm, {"applyTo": "HTTP_ROUTE", "match": {"context": "GATEWAY"},
              "patch": {"operation": "MERGE", "value": {"typed_per_filter_config": {"envoy.filters.http.ext_proc": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
                  "overrides": {"failure_mode_allow": True},
              }}}}},
    )  # fmt: skip


@arm_mutant("istio-buffers", "answers are held until they are complete")
def _buffers(arm: Arm) -> Arm:
    return _filter(arm, _lua("function envoy_on_response(h) h:body(true) end"))


@arm_mutant("istio-limits-bodies", "requests of more than 64 KiB are refused")
def _limits(arm: Arm) -> Arm:
    kind = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"
    buffer = {"@type": kind, "max_request_bytes": 65536}
    return _filter(arm, {"name": "envoy.filters.http.buffer", "typed_config": buffer})


@arm_mutant("istio-picker-slow", "on the way by the endpoint picker every request waits for 50 ms")
def _slow(arm: Arm) -> Arm:
    kind = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    fault = {"@type": kind, "delay": {"fixed_delay": "0.050s", "percentage": {"numerator": 100}}}
    return arm if arm.profile == "round-robin" else _filter(arm, {"name": "slow", "typed_config": fault})


def _before_router(arm: Arm, value: dict[str, Any]) -> Arm:
    """The arm with an HTTP filter after all others but the router: the last to see requests, the first for answers."""
    router: dict[str, Any] = {"context": "GATEWAY", "listener": {"filterChain": {"filter": {
        "name": _HCM, "subFilter": {"name": "envoy.filters.http.router"},
    }}}}  # fmt: skip
    patch = {"operation": "INSERT_BEFORE", "value": value}
    return with_patches(arm, {"applyTo": "HTTP_FILTER", "match": router, "patch": patch})


@arm_mutant("istio-ignores-picks", "what the picker said is overwritten by an endpoint that is not there")
def _ignores(arm: Arm) -> Arm:
    code = f"""
function envoy_on_request(h)
  h:headers():remove("{DESTINATION}")
  h:streamInfo():dynamicMetadata():set("envoy.lb", "{DESTINATION}", "192.0.2.254:1")
end
"""
    return _before_router(arm, _lua(code))


@arm_mutant("istio-misreports", "the picker is told that an endpoint served that is not there")
def _misreports(arm: Arm) -> Arm:
    code = f"""
function envoy_on_response(h)
  h:streamInfo():dynamicMetadata():set("envoy.lb", "{DESTINATION}-served", "192.0.2.254:1")
end
"""
    return _before_router(arm, _lua(code))
