"""The rights that scenarios take, as objects of Kubernetes: a ClusterRole, and who has it."""

from __future__ import annotations

from collections.abc import Iterable

from gpuassay.manifest import Manifest
from gpuassay.system import Rule

RBAC = "rbac.authorization.k8s.io"


def cluster_role(name: str, rules: Iterable[Rule]) -> Manifest:
    """A ClusterRole of exactly these rights; rights under a condition, which is in brackets, are among them."""
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for rule in rules:
        verbs = rule.verbs.partition("(")[0].split()
        for resource in rule.resources.split():
            wanted.setdefault((rule.group, resource), {}).update(dict.fromkeys(verbs))
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), verbs in sorted(wanted.items()):
        # paths and resources are never of one rule: an API group is none of a path's
        together.setdefault(("/" if resource.startswith("/") else group, tuple(sorted(verbs))), []).append(resource)
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            ({"nonResourceURLs": resources} if group == "/" else {"apiGroups": [group], "resources": resources})
            | {"verbs": list(verbs)}
            for (group, verbs), resources in together.items()
        ],
    }


def bound(role: str, namespace: str, account: str) -> list[Manifest]:
    """A ServiceAccount, and a ClusterRoleBinding by which it has the role."""
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    ]
