"""Broken routing: every one of these still answers 200."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpuassay.systems.llmd.mutants.arm import arm_mutant
from gpuassay.systems.llmd.mutants.istio import ISTIO, cut_out, with_patches

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.spec import Arm


@arm_mutant("picker-random", "the endpoint picker picks at random, whatever its configuration is called")
def _random(arm: Arm) -> Arm:
    return replace(arm, profile="random")


@arm_mutant("picker-sticks", "a picker that is to look at no prompt remembers where it sent each")
def _sticks(arm: Arm) -> Arm:
    return replace(arm, profile="approximate") if arm.profile in ("random", "least-loaded") else arm


@arm_mutant("topic-without-port", "model servers publish KV-cache events under their address alone")
def _topic(arm: Arm) -> Arm:
    return replace(arm, simulator_env={**arm.simulator_env, "POD_IP": "{address}"})


@arm_mutant("tokenizer-off-by-one", "the tokenizer's ids are not those of the model servers")
def _tokenizer(arm: Arm) -> Arm:
    return replace(arm, tokenizer_shift=arm.tokenizer_shift + 1)


@arm_mutant("events-lost", "no KV-cache event ever reaches the picker")
def _events(arm: Arm) -> Arm:
    return replace(arm, simulator_env={**arm.simulator_env, "POD_IP": "nowhere:1"}) if arm.precise else arm


@arm_mutant("speculation-gate-missing", "speculative indexing is configured, but its feature gate is not on")
def _gate(arm: Arm) -> Arm:
    def without(configuration: dict[str, Any]) -> None:
        if arm.change_picker is not None:
            arm.change_picker(configuration)
        configuration.pop("featureGates", None)

    return replace(arm, change_picker=without)


@arm_mutant("picker-not-asked", "the gateway sends requests round robin and never asks the picker")
def _not_asked(arm: Arm) -> Arm:
    if arm.gateway == ISTIO:
        return with_patches(arm, cut_out())
    return replace(arm, gateway="no-picker") if arm.gateway is not None else arm


def _forget(routing: Routing) -> None:
    if routing.picker is not None and routing.picker.child.alive:
        routing.picker.restart()
        routing.picker.await_ready_pods(len(routing.endpoints.members()))


@arm_mutant("index-emptied", "the picker forgets what every model server caches", disturb=_forget)
def _emptied(arm: Arm) -> Arm:
    return arm


@arm_mutant("precise-everywhere", "every picker knows the caches, those that are controls too")
def _precise(arm: Arm) -> Arm:
    return replace(arm, profile="precise") if arm.profile in ("random", "approximate") else arm


@arm_mutant("picker-random-or-precise", "pickers are mixed up: those that know the caches guess, those that guess know")
def _mixed(arm: Arm) -> Arm:
    return replace(arm, profile="precise" if arm.profile == "random" else "random") if arm.gateway else arm
