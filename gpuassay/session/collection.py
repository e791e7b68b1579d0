"""What pytest has collected, as declarations: behaviours, their scenarios, and the order in which they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpuassay.scenarios.declare import Scenario, scenario_of_fixture
from gpuassay.verdict import Behaviour, Level

SEVERITY = {Level.MUST: "blocker", Level.SHOULD: "normal", Level.MAY: "minor", Level.INFO: "trivial"}


def behaviour_of(item: pytest.Item) -> Behaviour | None:
    """The behaviour an item declares, or None."""
    marker = item.get_closest_marker("behaviour")
    return marker.args[0] if marker else None


def scenarios_of(item: pytest.Item) -> list[Scenario]:
    """The scenarios on whose recordings a test is judged: its fixtures and parameters that name one."""
    module = getattr(item, "module", None)
    names: list[str] = list(getattr(item, "fixturenames", []))
    callspec = getattr(item, "callspec", None)
    if callspec is not None:  # a test of several systems names its scenario as a parameter
        names += [value for value in callspec.params.values() if isinstance(value, str) and value not in names]
    found = (scenario_of_fixture(getattr(module, name, None)) for name in names)
    return [one for one in found if one is not None]


def declaration(item: pytest.Item, behaviour: Behaviour) -> dict[str, Any]:
    """The behaviour of a test, as a line of `verdicts.jsonl` begins."""
    doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip()
    callspec = getattr(item, "callspec", None)
    # pytest escapes and numbers ids: a behaviour that names its case itself keeps that name
    suffix = f"[{callspec.id}]" if callspec is not None and not behaviour.id.endswith("]") else ""
    return {
        "behaviour": behaviour.id + suffix,
        "test": item.nodeid,
        "suite": behaviour.suite,
        "feature": behaviour.feature,
        "title": doc.splitlines()[0] if doc else item.name,
        "level": behaviour.level.value,
        "spec": behaviour.spec,
        "red_when": behaviour.red_when,
        "mutant": behaviour.mutant,
    }


def arrange(items: list[pytest.Item], suites: Sequence[Path]) -> None:
    """Check declarations, label tests for Allure, and bring tests of one profile together, measurements last.

    Raises:
        pytest.UsageError: a test below one of `suites` declares no behaviour, or one that another test declares too.
    """
    seen: dict[str, str] = {}
    profiles: dict[str, int] = {}
    keys: dict[str, tuple[bool, bool, int]] = {}
    for item in items:
        if not any(suite in item.path.parents for suite in suites):
            continue
        behaviour = behaviour_of(item)
        if behaviour is None:
            raise pytest.UsageError(f"{item.nodeid}: a test of a suite must declare a behaviour (gpuassay.behaviour)")
        declared = declaration(item, behaviour)["behaviour"]
        if seen.setdefault(declared, item.nodeid) != item.nodeid:
            raise pytest.UsageError(f"behaviour {declared} is declared twice: {seen[declared]} and {item.nodeid}")
        scenarios = scenarios_of(item)
        for one in scenarios:
            profiles.setdefault(one.profile, len(profiles))
        # judged in the order in which pools end: a cluster's restarts come before its other profiles
        alone = any(one.alone == "machine" for one in scenarios)
        perf = any(item.get_closest_marker(name) is not None for name in ("perf", "scale", "paper"))
        keys[item.nodeid] = (perf, alone, min((profiles[one.profile] for one in scenarios), default=0))
        for kind, value in (
            ("epic", behaviour.suite),
            ("feature", behaviour.feature),
            ("as_id", declared),
            ("severity", SEVERITY[behaviour.level]),
        ):
            item.add_marker(pytest.mark.allure_label(value, label_type=kind))
    items.sort(key=lambda item: keys.get(item.nodeid, (False, False, -1)))
