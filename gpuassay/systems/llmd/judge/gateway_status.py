"""What a gateway controller says of its objects: conditions of GatewayClass, Gateway, HTTPRoute and InferencePool.

A *picture* is the `status` of objects by "Kind/name" at one moment. GatewayClass and Gateway have conditions of their
own; HTTPRoute and InferencePool have them once per parent (Gateway API v1; Inference Extension v1), and here each has
one parent at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuassay.manifest import dig

Picture = Mapping[str, Mapping[str, Any]]
Wanted = Mapping[str, Mapping[str, str]]
"""Expected conditions by "Kind/name" and type, each as "True" or "False/Reason"; no conditions: no parent is named."""

NO_PARENT: Mapping[str, str] = {}


def conditions(status: Mapping[str, Any]) -> dict[str, str]:
    """Conditions by type: "True", or "False/Reason" ("Unknown/Reason"); of the first parent where there are parents."""
    entries = dig(status, "conditions", default=None)
    if entries is None:
        entries = dig(status, "parents", 0, "conditions", default=[])
    return {
        str(one["type"]): "True" if one["status"] == "True" else f"{one['status']}/{one.get('reason')}"
        for one in entries
    }


def status_findings(picture: Picture, wanted: Wanted) -> list[str]:
    """Conditions that are not as expected; an object that is not in the picture has none, which is never enough."""
    found: list[str] = []
    for name, types in wanted.items():
        if name not in picture:
            found.append(f"{name} was not there")
            continue
        seen = conditions(picture[name])
        if not types and seen:
            found.append(f"{name}: expected no parent, seen {seen}")
        found += [
            f"{name}: expected {kind}={value}, seen {seen.get(kind, 'no such condition')}"
            for kind, value in types.items()
            if seen.get(kind) != value
        ]
    return found if wanted else ["nothing was expected: nothing is proved"]
