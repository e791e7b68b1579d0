"""The audit policy of embedded clusters: every write to a recorded resource, at level Metadata.

The log is the ground truth that recordings are checked against: every event of a watch has an audited write, and what
the log has in surplus are patches that changed nothing. Reads, leases and events would only make it long. Pods created
by controllers have no name in it (`generateName` is resolved after the request was read).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDED: dict[str, list[str]] = {
    "": ["namespaces", "pods", "pods/status", "pods/binding", "pods/eviction"],
    "batch": ["jobs", "jobs/status"],
    "apps": ["deployments", "deployments/status", "statefulsets", "statefulsets/status", "replicasets"],
    "jobset.x-k8s.io": ["jobsets", "jobsets/status"],
    "leaderworkerset.x-k8s.io": ["leaderworkersets", "leaderworkersets/status"],
    "kueue.x-k8s.io": [],  # all of its resources
    "resource.k8s.io": ["resourceclaims", "resourceclaims/status"],
}


def policy() -> dict[str, Any]:
    """The policy as an `audit.k8s.io/v1` object."""
    resources: list[dict[str, Any]] = [
        {"group": group, "resources": names} if names else {"group": group} for group, names in RECORDED.items()
    ]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "Metadata", "resources": resources},
            {"level": "None"},
        ],
    }


def write_policy(path: Path) -> Path:
    """Write the policy as JSON, which is YAML."""
    path.write_text(json.dumps(policy(), indent=1))
    return path
