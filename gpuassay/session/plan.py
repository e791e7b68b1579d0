"""`--plan`: what would run, what it needs, and the permissions it takes on somebody's cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.scenario.declare import OWN_ARMS, Scenario
from gpuassay.systems.llmd.existing.options import TOKEN, GatewayOptions

RULES: tuple[tuple[str, str, str], ...] = (
    ("", "namespaces", "create get list watch patch delete"),
    ("", "pods", "create get list watch patch delete"),
    ("batch", "jobs", "create get list watch patch delete deletecollection"),
    ("apps", "deployments statefulsets", "create get list watch patch delete"),
    ("kueue.x-k8s.io", "workloads workloads/status localqueues", "create get list watch patch update delete"),
    (
        "kueue.x-k8s.io",
        "clusterqueues cohorts resourceflavors workloadpriorityclasses admissionchecks admissionchecks/status "
        "topologies",
        "create get list watch patch update delete",
    ),
    ("events.k8s.io", "events", "get list watch"),
    ("", "nodes", "get list"),
)
"""API group, resources and verbs that scenarios use; everything created carries the run's label."""

OPERATOR_RULES: tuple[tuple[str, str, str], ...] = (
    ("nvidia.com", "clusterpolicies", "list"),
    ("apps", "daemonsets", "list"),
    ("node.k8s.io", "runtimeclasses", "list"),
    ("", "pods/proxy", "get (DCGM exporters)"),
    ("", "podtemplates", "list (a load for GPUs, labelled gpuassay.io/gpu-load)"),
    ("", "nodes", "patch (only with --allow-cluster-mutation, and only nodes labelled gpuassay.io/mig-trial)"),
)
"""As `RULES`, besides them, where there is a GPU Operator: it is read, and changed in nothing but what is said here."""

GATEWAY_RULES: tuple[tuple[str, str, str], ...] = (
    ("", "namespaces", "list (without it the connection cannot be tried)"),
    ("", "pods", "get list watch"),
    ("inference.networking.k8s.io", "inferencepools", "get list watch"),
    ("", "pods/proxy", "get create (only where Pods' addresses are not reached from here)"),
)
"""As `RULES`, of a run at somebody's gateway: nothing is written. All but the first in the pool's namespace only."""


def plan_lines(
    declarations: Sequence[dict[str, Any]],
    scenarios: Sequence[Scenario],
    items: Sequence[pytest.Item],
    gateway: GatewayOptions | None = None,
) -> list[str]:
    """The plan as lines of text; `gateway`: somebody's, at which routing would be judged."""
    lines = [f"{len(declarations)} behaviours over {len(scenarios)} scenarios would run:"]
    for suite, count in sorted(Counter(one["suite"] for one in declarations).items()):
        lines.append(f"  {suite}: {count}")
    for profile, count in sorted(Counter(one.profile for one in scenarios).items()):
        lines.append(f"  Kueue profile {profile}: {count} scenarios")
    wanted = Counter(need for one in scenarios for need in one.needs)
    wanted.update(need for item in items for marker in item.iter_markers("needs") for need in marker.args)
    lines.append("capabilities (behaviours are skipped by type where one is missing):")
    lines += [f"  {need}: {count}" for need, count in sorted(wanted.items())] or ["  none"]
    if gateway is not None:
        lines += _gateway_lines(gateway, scenarios)
    else:
        lines.append("permissions on an existing cluster (API group, resources, verbs):")
        lines += [f"  {group or 'core'}: {resources}: {verbs}" for group, resources, verbs in _rules(scenarios)]
    lines += [
        f"  {one['behaviour']} ({one['level']}): {one['title']}"
        for one in sorted(declarations, key=lambda d: d["behaviour"])
    ]
    return lines


def _rules(scenarios: Sequence[Scenario]) -> tuple[tuple[str, str, str], ...]:
    return RULES + (OPERATOR_RULES if any(one.system == "gpu-operator" for one in scenarios) else ())


def _gateway_lines(gateway: GatewayOptions, scenarios: Sequence[Scenario]) -> list[str]:
    able = [one for one in scenarios if one.system == "routing" and OWN_ARMS not in one.needs]
    return [
        f"at the gateway {gateway.url}, said to be {gateway.profile}: {len(able)} scenarios can be acted out from "
        f"outside, {len(scenarios) - len(able)} are skipped by type",
        *(f"  {one.id}" for one in able),
        "requests: some hundred completions of model "
        f"{gateway.model}, through the gateway and directly to the Pods of the pool; bearer token from {TOKEN}",
        f"permissions in namespace {gateway.namespace} (API group, resources, verbs); nothing is created or changed:",
        *(f"  {group or 'core'}: {resources}: {verbs}" for group, resources, verbs in GATEWAY_RULES),
    ]
