"""What a run at somebody's gateway would do there, and the permissions it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuassay.load.credentials import TOKEN
from gpuassay.system import OWN_ARMS, Rule
from gpuassay.systems.llmd.existing.options import GatewayOptions

if TYPE_CHECKING:
    from gpuassay.scenarios.declare import Scenario

RULES = (
    Rule("", "namespaces", "list (without it the connection cannot be tried)"),
    Rule("", "pods", "get list watch"),
    Rule("inference.networking.k8s.io", "inferencepools", "get list watch"),
    Rule("", "pods/proxy", "get create (only where Pods' addresses are not reached from here)"),
    Rule("", "services", "get (only for the cause of a failure: which Pods are the pickers)"),
)
"""Nothing is written. All but the first in the pool's namespace only."""


def plan_lines(gateway: GatewayOptions, scenarios: Sequence[Scenario]) -> list[str]:
    """The plan of a run at a gateway, line by line."""
    able = [one for one in scenarios if one.system == "routing" and OWN_ARMS not in one.needs]
    return [
        f"at {gateway.named}: {len(able)} scenarios can be acted out from "
        f"outside, {len(scenarios) - len(able)} are skipped by type",
        *(f"  {one.id}" for one in able),
        "requests: some hundred completions of model "
        f"{gateway.model}, through the gateway and directly to the Pods of the pool; bearer token from {TOKEN}",
        f"permissions in namespace {gateway.namespace} (API group, resources, verbs); nothing is created or changed:",
        *(f"  {rule.group or 'core'}: {rule.resources}: {rule.verbs}" for rule in RULES),
    ]
