"""Rights that an installation takes: generated from what it consists of, asked for before anything is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpuassay.cluster.access_review import PATH, Right
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.component import Content
from gpuassay.provision.helm import Chart
from gpuassay.provision.objects import Objects
from gpuassay.provision.registry import component
from gpuassay.provision.rights import needed, refuse_without, role
from tests.cluster.served import Served, made, served

NAMES = {"kind": "Queue", "plural": "queues"}
DEFINITION = made(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "queues.example.org",
    spec={"group": "example.org", "names": NAMES, "versions": [{"name": "v1"}]},
)  # fmt: skip
BINDING = made("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "it")
WANTED = [DEFINITION, made("apps/v1", "Deployment", "it", "there"), made("example.org/v1", "Queue", "one"), BINDING]


def rights(content: Content, name: str = "kueue") -> set[str]:
    found = needed(component(name), content, WANTED, Objects(served(BINDING)))
    return {str(one) for one in found}


def test_what_is_brought_may_be_made_changed_and_deleted() -> None:
    """Red when a role lacks what an installation brings: kinds of its own, bindings of roles that the caller lacks."""
    found = rights(Content())
    for verb in ("create", "delete", "patch"):
        assert {f"{verb} deployments.apps", f"{verb} queues.example.org", f"{verb} namespaces"} <= found
    assert "bind clusterroles.rbac.authorization.k8s.io" in found
    assert "create secrets" not in found


def test_helm_needs_secrets_and_some_components_more() -> None:
    """Red when helm's own inventory, or what shows that a component works, is forgotten."""
    assert "create secrets" in rights(Content(chart=Chart("some", "it", "there", {})))
    assert "create services/proxy" in rights(Content(), "llmd")


class Asked(Served):
    """Allows all but some rights."""

    def __init__(self, refused: list[str]) -> None:
        super().__init__([])
        self.refused = refused

    def request(self, verb: str, path: str, body: Any = None, query: Any = None) -> str:
        assert (verb, path) == ("post", PATH)
        asked: Manifest = body["spec"]["resourceAttributes"]
        right = str(Right(asked["group"], asked["resource"], asked["verb"]))
        return json.dumps({"status": {"allowed": right not in [*self.refused, "* *.*"]}})


def test_a_right_that_is_lacking_is_named_before_anything_is_made() -> None:
    """Red when a lack is found out half way, or told without its verb and resource."""
    wanted = [Right("apps", "deployments", "create"), Right("", "secrets", "create")]
    refuse_without(Asked([]), component("kueue"), wanted)  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match=r"may not create deployments\.apps; gpuassay provision kueue") as no:
        refuse_without(Asked(["create deployments.apps"]), component("kueue"), wanted)  # type: ignore[arg-type]
    assert "\n" not in str(no.value) and "secrets" not in str(no.value)


def test_a_role_reads_everything_and_writes_what_it_must() -> None:
    """Red when a generated role hands out more than is needed."""
    made_role = role("it", [Right("apps", "deployments", verb) for verb in ("patch", "create")])
    assert made_role["rules"] == [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "patch"]},
    ]
