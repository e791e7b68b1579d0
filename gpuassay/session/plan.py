"""`--plan`: what would run, what it needs, and the permissions it takes on somebody's cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.scenario.declare import Scenario

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


def plan_lines(
    declarations: Sequence[dict[str, Any]], scenarios: Sequence[Scenario], items: Sequence[pytest.Item]
) -> list[str]:
    """The plan as lines of text."""
    lines = [f"{len(declarations)} behaviours over {len(scenarios)} scenarios would run:"]
    for suite, count in sorted(Counter(one["suite"] for one in declarations).items()):
        lines.append(f"  {suite}: {count}")
    for profile, count in sorted(Counter(one.profile for one in scenarios).items()):
        lines.append(f"  Kueue profile {profile}: {count} scenarios")
    wanted = Counter(need for one in scenarios for need in one.needs)
    wanted.update(need for item in items for marker in item.iter_markers("needs") for need in marker.args)
    lines.append("capabilities (behaviours are skipped by type where one is missing):")
    lines += [f"  {need}: {count}" for need, count in sorted(wanted.items())] or ["  none"]
    lines.append("permissions on an existing cluster (API group, resources, verbs):")
    lines += [f"  {group or 'core'}: {resources}: {verbs}" for group, resources, verbs in RULES]
    lines += [
        f"  {one['behaviour']} ({one['level']}): {one['title']}"
        for one in sorted(declarations, key=lambda d: d["behaviour"])
    ]
    return lines
