"""Broken scheduling: pickers that answer 200 and choose wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpuassay.manifest import Manifest
from gpuassay.scenarios.mutants import mutant
from gpuassay.systems.llmd.mutants.arm import arm_mutant

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.profiles import Change
    from gpuassay.systems.llmd.component.spec import Arm


def after(arm: Arm, change: Change) -> Arm:
    """The arm with one more change of its picker's configuration."""

    def both(configuration: dict[str, Any]) -> None:
        if arm.change_picker is not None:
            arm.change_picker(configuration)
        change(configuration)

    return replace(arm, change_picker=both)


def _negate(configuration: dict[str, Any]) -> None:
    for profile in configuration["schedulingProfiles"]:
        for entry in profile["plugins"]:
            if "weight" in entry:
                entry["weight"] = -abs(float(entry["weight"]))


@arm_mutant("scores-inverted", "the picker takes the endpoint with the lowest score")
def _inverted(arm: Arm) -> Arm:
    return after(arm, _negate)


def _leave_one(routing: Routing) -> None:
    if len(routing.endpoints.members()) <= 1:
        return
    for replica in routing.replicas[1:]:
        routing.endpoints.set_ready(replica.name, False)
    if routing.picker is not None and routing.picker.child.alive:
        routing.picker.await_ready_pods(1)


@arm_mutant("one-endpoint-left", "all requests go to one endpoint, as if the pool had no other", disturb=_leave_one)
def _one(arm: Arm) -> Arm:
    return arm


@arm_mutant("never-evicts", "model servers go on holding, and announcing, blocks that they should have evicted")
def _never(arm: Arm) -> Arm:
    if not arm.cache.blocks:
        return arm
    # in this mode only does the simulator clear its cache when it is told to sleep
    env = {key: value for key, value in arm.simulator_env.items() if key != "VLLM_SERVER_DEV_MODE"}
    return replace(arm, simulator_env=env, cache=replace(arm.cache, blocks=max(4096, arm.cache.blocks)))


@arm_mutant("speculation-off", "the picker waits for events, whatever its configuration says about speculation")
def _speculation(arm: Arm) -> Arm:
    def without(configuration: dict[str, Any]) -> None:
        for plugin in configuration["plugins"]:
            plugin.get("parameters", {}).pop("speculativeIndexing", None)

    return after(arm, without)


@arm_mutant("prefix-ignored", "cached prefixes count for nothing in the sum of scores")
def _ignored(arm: Arm) -> Arm:
    def weightless(configuration: dict[str, Any]) -> None:
        for profile in configuration["schedulingProfiles"]:
            for entry in profile["plugins"]:
                if "prefix-cache-scorer" in entry["pluginRef"]:
                    entry["weight"] = 0

    return after(arm, weightless)


@arm_mutant("load-ignored", "queues, running requests and cache pressure count for nothing in the sum of scores")
def _load(arm: Arm) -> Arm:
    def weightless(configuration: dict[str, Any]) -> None:
        for profile in configuration["schedulingProfiles"]:
            for entry in profile["plugins"]:
                if "weight" in entry and "prefix-cache-scorer" not in entry["pluginRef"]:
                    entry["weight"] = 0

    return after(arm, weightless)


@arm_mutant("direct-events", "KV-cache events go straight to the picker's socket, which goes deaf when one breaks off")
def _direct(arm: Arm) -> Arm:
    return replace(arm, events="direct") if arm.event_path == "forwarder" else arm


@arm_mutant("forwarder-everywhere", "none: a forwarder mends what breaks off, and a known defect must then pass")
def _forwarder(arm: Arm) -> Arm:
    return replace(arm, events="forwarder") if arm.events == "direct" else arm


def _crash(routing: Routing) -> None:
    # it could not even be started again: without a tokenizer the picker gives up after ten seconds
    picker, tokenizer = routing.picker, routing.tokenizer
    if picker is not None and picker.child.alive and tokenizer is not None and not tokenizer.child.alive:
        picker.kill()


@arm_mutant("picker-crashes", "the picker ends when its tokenizer is gone", disturb=_crash)
def _crashes(arm: Arm) -> Arm:
    return arm


@arm_mutant("speculation-everywhere", "the picker takes what it has just sent away as cached, in controls too")
def _everywhere(arm: Arm) -> Arm:
    return replace(arm, profile="precise") if arm.profile == "precise-no-speculation" else arm


def _threshold(depth: int) -> Change:
    def change(configuration: dict[str, Any]) -> None:
        configuration["saturationDetector"] = {
            "queueDepthThreshold": depth,
            "kvCacheUtilThreshold": 0.99,
            "metricsStalenessThreshold": "1h",
        }

    return change


@arm_mutant("never-saturated", "no queue is long enough to call the pool saturated")
def _never_saturated(arm: Arm) -> Arm:
    return after(arm, _threshold(10**6))


def _stale_at_once(configuration: dict[str, Any]) -> None:
    configuration["saturationDetector"] = {"metricsStalenessThreshold": "1ns"}


@arm_mutant("always-saturated", "the pool counts as saturated whatever its endpoints report")
def _always_saturated(arm: Arm) -> Arm:
    return after(arm, _stale_at_once)


@arm_mutant("staleness-never", "metrics count as fresh for ever")
def _fresh(arm: Arm) -> Arm:
    return replace(arm, picker_flags=(*arm.picker_flags, "--metrics-staleness-threshold=1h"))


@mutant("all-sheddable", "every objective has a negative priority")
def _sheddable(obj: Manifest) -> None:
    if obj["kind"] == "InferenceObjective":
        obj["spec"]["priority"] = -1


def _rules(obj: Manifest) -> list[Manifest]:
    return obj["spec"]["rules"] if obj["kind"] == "InferenceModelRewrite" else []


@mutant("rewrites-lost", "rules for model names match no request")
def _lost(obj: Manifest) -> None:
    for rule in _rules(obj):
        rule["matches"] = [{"model": {"value": "no-such-model"}}]


@mutant("rewrites-everything", "rules for model names match every request")
def _everything(obj: Manifest) -> None:
    for rule in _rules(obj):
        del rule["matches"]


def _decide(by: str) -> Change:
    def change(configuration: dict[str, Any]) -> None:
        for plugin in configuration["plugins"]:
            if plugin["type"] == "disagg-profile-handler":
                plugin["parameters"]["deciders"]["prefill"] = by
            if by == "prefix-based-pd-decider" and plugin["type"] == by:
                plugin["parameters"]["nonCachedTokens"] = 0  # off

    return change


@arm_mutant("pd-never", "no prompt is ever prefilled elsewhere")
def _pd_never(arm: Arm) -> Arm:
    return after(arm, _decide("prefix-based-pd-decider"))


@arm_mutant("pd-always", "every prompt is prefilled elsewhere, cached and short ones too")
def _pd_always(arm: Arm) -> Arm:
    return after(arm, _decide("always-disagg-pd-decider"))
