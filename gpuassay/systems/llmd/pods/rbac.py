"""Permissions that arms of ours use on somebody's cluster, besides those of every scenario."""

from __future__ import annotations

from gpuassay.system import Rule

_ONLY = "only with --llmd install"

RULES = (
    Rule("", "services configmaps serviceaccounts", f"create get list patch delete ({_ONLY})"),
    Rule("", "pods/status", f"patch ({_ONLY})"),
    Rule("", "pods/portforward", f"get create ({_ONLY})"),
    Rule("", "services/proxy", f"create ({_ONLY}: whether a completion comes)"),
    Rule("", "pods/log", f"get ({_ONLY})"),
    Rule("apps", "deployments", f"create get list patch delete ({_ONLY})"),
    Rule("rbac.authorization.k8s.io", "roles rolebindings", f"create get patch delete ({_ONLY})"),
    Rule("coordination.k8s.io", "leases", f"get list watch create update patch delete ({_ONLY})"),
    Rule("inference.networking.k8s.io", "inferencepools", f"create get list watch patch delete ({_ONLY})"),
    Rule(
        "inference.networking.x-k8s.io",
        "inferenceobjectives inferencemodelrewrites",
        f"create get list watch patch delete ({_ONLY})",
    ),
)
"""Leases are of the pickers themselves: who gives a right to somebody must have it."""
