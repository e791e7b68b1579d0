"""What upstream says an endpoint picker must be allowed to do, and identities of the API server with just that.

The rules are read from the picker's own module: what its manifests give to its ServiceAccount. Parts of a chart that
are written only with some value set (metrics behind authorization, several replicas) are no part of them, except for
those of the election of a leader, which are asked for by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.certificates import write_private
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component.picker import Implementation

Rule = dict[str, list[str]]
"""One rule of a Role: `apiGroups`, `resources`, `verbs`."""

TOKEN_SECONDS = 3600
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class _Source:
    """Files of one module that hold a picker's Roles."""

    module: str
    files: tuple[str, ...]
    election: tuple[str, ...]


_CHARTS = "config/charts"
_ELECTION = (f"{_CHARTS}/epplib/templates/_leader-election-rbac.yaml",)
_EXTENSION = "sigs.k8s.io/gateway-api-inference-extension"
_SOURCES = {
    "llm-d": _Source(
        "github.com/llm-d/llm-d-inference-scheduler", ("deploy/components/inference-gateway/rbac.yaml",), ()
    ),
    "gaie": _Source(
        _EXTENSION,
        (f"{_CHARTS}/epplib/templates/_rbac.yaml", f"{_CHARTS}/inferencepool/templates/rbac.yaml"),
        _ELECTION,
    ),
}


def documented(chosen: Implementation, assets: toolchain.Assets | None = None, *, electing: bool = False) -> list[Rule]:
    """The rules that upstream's manifests give to a picker.

    Args:
        chosen: the picker.
        assets: folders that users bring.
        electing: with the rules for the election of a leader, where the picker's own manifests have some.

    Raises:
        ClusterError: nothing is known of this picker, or its module lacks a file or a Role in it.
    """
    if chosen.name not in _SOURCES:
        raise ClusterError(f"no manifest with the rights of picker {chosen.name!r} is known")
    source = _SOURCES[chosen.name]
    root = toolchain.module_dir(chosen.component, source.module, assets)
    names = source.files + (source.election if electing else ())
    return [rule for name in names for rule in rules_of(_read(root / name), name)]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        raise ClusterError(f"{file} is missing: this release does not ship the picker's rights there") from None


def rules_of(text: str, name: str) -> list[Rule]:
    """The rules of every Role (not ClusterRole) in a YAML file or a chart's template; there rules are plain YAML.

    Raises:
        ClusterError: there is no Role, or its rules are no YAML; `name` says where.
    """
    found: list[Rule] = []
    for document in text.split("\n---"):
        lines = document.splitlines()
        if "kind: Role" not in lines or "rules:" not in lines:
            continue
        rules = [line for line in lines[lines.index("rules:") :] if not line.lstrip().startswith("{{")]
        try:
            parsed: Any = yaml.safe_load("\n".join(rules))
        except yaml.YAMLError as error:
            raise ClusterError(f"the rules of a Role in {name} cannot be read: {error}") from None
        found += cast("list[Rule]", parsed["rules"])
    if not found:
        raise ClusterError(f"{name} holds no Role with rules: has upstream moved the picker's rights?")
    return found


def without(rules: list[Rule], resource: str, verbs: tuple[str, ...] = ()) -> list[Rule]:
    """Rules that lack `verbs` (all where none are named) on a resource; every other right stays.

    Raises:
        ClusterError: the rules do not give what is to be taken away.
    """
    left: list[Rule] = []
    taken = False
    for rule in rules:
        if resource not in rule["resources"]:
            left.append(rule)
            continue
        lost = set(verbs or rule["verbs"])
        taken |= bool(lost & set(rule["verbs"]))
        kept = [verb for verb in rule["verbs"] if verb not in lost]
        others = [one for one in rule["resources"] if one != resource]
        left += [rule | {"resources": others}] if others else []
        left += [rule | {"resources": [resource], "verbs": kept}] if kept else []
    if not taken:
        raise ClusterError(f"the rules give no {'/'.join(verbs) or 'right'} on {resource} that could be taken away")
    return left


def objects(name: str, namespace: str, rules: list[Rule]) -> list[Manifest]:
    """A ServiceAccount, a Role with `rules`, and what binds them."""
    metadata = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(metadata)},
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": dict(metadata), "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def kubeconfig(cluster: Cluster, name: str, namespace: str, folder: Path) -> Path:
    """A kubeconfig with a token of a ServiceAccount that exists.

    Raises:
        ApiRefused: the API server gives no token.
        ClusterError: the cluster's own kubeconfig is none of ours.
    """
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    asked = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": TOKEN_SECONDS},
    }  # fmt: skip
    token = json.loads(cluster.api.request("post", path, asked))["status"]["token"]
    try:
        body = json.loads(cluster.kubeconfig.read_text())
        body["users"] = [{"name": user["name"], "user": {"token": token}} for user in body["users"]]
    except (ValueError, KeyError, TypeError):
        raise ClusterError(f"{cluster.kubeconfig} is not as an embedded cluster's kubeconfig is written") from None
    folder.mkdir(parents=True, exist_ok=True)
    return write_private(folder / f"kubeconfig-{name}", json.dumps(body, indent=1).encode())
