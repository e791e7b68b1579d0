"""`--plan`: what would run, what it needs, and the permissions it takes on somebody's cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.scenarios.declare import Scenario
from gpuassay.settings import Settings
from gpuassay.system import get, systems


def plan_lines(
    declarations: Sequence[dict[str, Any]],
    scenarios: Sequence[Scenario],
    items: Sequence[pytest.Item],
    settings: Settings,
) -> list[str]:
    """The plan as lines of text."""
    from gpuassay.engine.discovered import RULES, cluster_lines  # cluster clients: not for replays

    lines = [f"{len(declarations)} behaviours over {len(scenarios)} scenarios would run:"]
    for suite, count in sorted(Counter(one["suite"] for one in declarations).items()):
        lines.append(f"  {suite}: {count}")
    for profile, count in sorted(Counter(one.profile for one in scenarios).items()):
        lines.append(f"  Kueue profile {profile}: {count} scenarios")
    wanted = Counter(need for one in scenarios for need in one.needs)
    wanted.update(need for item in items for marker in item.iter_markers("needs") for need in marker.args)
    lines.append("capabilities (behaviours are skipped by type where one is missing):")
    lines += [f"  {need}: {count}" for need, count in sorted(wanted.items())] or ["  none"]
    named = [get(name) for name in dict.fromkeys(one.system for one in scenarios)]
    own = [found for one in systems().values() if one.plan and (found := one.plan(settings, scenarios))]
    if own:
        lines += [line for found in own for line in found]
    else:
        lines.append("permissions on an existing cluster (API group, resources, verbs):")
        rules = dict.fromkeys((*RULES, *(rule for one in named for rule in one.rules)))
        lines += [f"  {rule.group or 'core'}: {rule.resources}: {rule.verbs}" for rule in rules]
        lines += cluster_lines(settings, list(rules))
    lines += [
        f"  {one['behaviour']} ({one['level']}): {one['title']}"
        for one in sorted(declarations, key=lambda d: d["behaviour"])
    ]
    return lines
