"""The configuration of a Kueue in pods: a profile laid over what it needs where it runs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import dig
from gpuassay.systems.kueue.component.profiles import BASE, NAMESPACE, Profile, merged

PLACE = (
    "namespace", "health", "metrics", "webhook", "leaderElection", "internalCertManagement", "clientConnection", "tls",
    "featureGates", "visibility", "visibilityServer",
)  # fmt: skip
"""What stays as it was found: addresses, certificates, leader election; everything else is the suite's own."""


def read(text: str) -> dict[str, Any]:
    """A configuration from its text.

    Raises:
        ClusterError: it is no mapping.
    """
    try:
        found: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise ClusterError("Kueue's configuration on this cluster is no YAML mapping")
    return cast("dict[str, Any]", found)


def configured(found: Mapping[str, Any], profile: Profile, namespace: str) -> str:
    """The text of a profile for a Kueue that was found with another configuration.

    Raises:
        ClusterError: that is of an API version whose fields are not known here.
    """
    if found.get("apiVersion") != BASE["apiVersion"]:
        raise ClusterError(
            f"Kueue's configuration on this cluster is {found.get('apiVersion')}, profiles are {BASE['apiVersion']}"
        )
    base = {key: value for key, value in BASE.items() if key not in PLACE}
    place = {key: found[key] for key in PLACE if key in found}
    wanted = copy.deepcopy(merged(merged(base, place), profile.changes))
    wanted["metrics"] = {**wanted.get("metrics", {}), "enableClusterQueueResources": True}
    expressions: list[dict[str, list[str]]] = wanted["managedJobsNamespaceSelector"].get("matchExpressions") or []
    for entry in expressions:
        entry["values"] = [namespace if one == NAMESPACE else one for one in entry["values"]]
    return yaml.safe_dump(wanted, sort_keys=False)


def tells_quotas(found: Mapping[str, Any]) -> bool:
    """Whether its metrics have the gauges of quotas and usage, which are off by default."""
    return bool(dig(found, "metrics", "enableClusterQueueResources"))


@dataclass(frozen=True)
class Effective:
    """The configuration that a manager has told in its log when it started."""

    told: Mapping[str, Any]

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Effective | None:
        """From log lines; None where they do not tell it."""
        for line in lines:
            if line.get("msg") == "Configuration loaded" and isinstance(line.get("config"), str):
                return cls(read(line["config"]))
        return None

    def lacking(self, text: str) -> str:
        """Parts of a configuration of which it knows nothing, "" where it has them all."""
        return ", ".join(key for key, value in read(text).items() if value and not self.told.get(key))
