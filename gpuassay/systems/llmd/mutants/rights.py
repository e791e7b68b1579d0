"""Broken identities of endpoint pickers: Roles that give less or more than was asked for."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.scenarios.mutants import mutant


@mutant("rights-pods-lost", "Roles are written without what they give on Pods")
def _pods_lost(obj: Manifest) -> None:
    if obj["kind"] == "Role":
        obj["rules"] = [rule for rule in obj["rules"] if "pods" not in rule["resources"]]


@mutant("rights-too-wide", "Roles allow to read everything, whatever was asked for")
def _too_wide(obj: Manifest) -> None:
    if obj["kind"] == "Role":
        obj["rules"].append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]})
