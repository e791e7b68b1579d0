"""The permissions that `--plan` tells are those that scenarios use: held against the audit logs of a recorded run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gpuassay import resources
from gpuassay.engine.discovered import RULES
from gpuassay.record.pack import open_run
from gpuassay.system import get

US = "gpuassay"
"""The user that our own requests are made as, on clusters of ours."""


def used(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Group, resource (with its subresource) and verb of every write of ours."""
    for line in (folder / "audit.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["user"]["username"] == US:
            place = one["objectRef"]
            sub = f"/{place['subresource']}" if place.get("subresource") else ""
            yield place.get("apiGroup", ""), place["resource"] + sub, one["verb"]


def test_kueues_scenarios_use_no_right_that_the_plan_does_not_tell() -> None:
    """Red when a user grants what --plan lists, and scenarios are refused all the same."""
    told = {
        (rule.group, resource, verb)
        for rule in (*RULES, *get("kueue").rules)
        for resource in rule.resources.split()
        for verb in rule.verbs.split()
    }
    run = open_run(resources.RECORDED_RUN)
    folders = sorted((run / "recordings").glob("kueue.*"))
    seen = {one for folder in folders for one in used(folder)}
    assert len(seen) > 20, "the recorded run has no writes of ours"
    assert seen <= told, sorted(seen - told)
