"""Upstream's rights of endpoint pickers, read from manifests and chart templates."""

from __future__ import annotations

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.component.rbac import Rule, rules_of, without

CHART = """
{{- define "x" -}}
kind: ClusterRole
rules:
- apiGroups: ["x"]
  resources: ["everything"]
  verbs: ["*"]
---
kind: Role
metadata:
  name: {{ .Values.name }}
rules:
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["get", "watch", "list"]
{{- end }}
---
kind: RoleBinding
roleRef:
  kind: Role
"""
PODS: Rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "watch", "list"]}
BOTH: Rule = {"apiGroups": ["x"], "resources": ["pools", "objectives"], "verbs": ["get", "watch", "list"]}


def test_a_charts_roles_are_read_without_its_templates() -> None:
    """Red when rules of a ClusterRole count, or a template's braces are taken for YAML."""
    assert rules_of(CHART, "chart") == [PODS]


def test_a_file_without_a_role_is_refused() -> None:
    """Red when rights that have moved leave a picker with none, as if none were documented."""
    with pytest.raises(ClusterError, match=r"elsewhere\.yaml holds no Role"):
        rules_of("kind: RoleBinding\n", "elsewhere.yaml")


def test_one_right_is_taken_and_every_other_stays() -> None:
    """Red when more or less than what is named is taken away."""
    assert without([PODS, BOTH], "pods") == [BOTH]
    assert without([PODS, BOTH], "pods", ("watch",)) == [PODS | {"verbs": ["get", "list"]}, BOTH]
    assert without([PODS, BOTH], "pools") == [PODS, BOTH | {"resources": ["objectives"]}]


def test_what_nobody_has_cannot_be_taken() -> None:
    """Red when a test takes nothing away and believes that it did."""
    with pytest.raises(ClusterError, match="no delete on pods"):
        without([PODS], "pods", ("delete",))
