"""Objects of the inference extension that are accepted, for hostile values to be put into. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.versions import POOL_GROUP, X_GROUP

POOL, OBJECTIVE, REWRITE = "InferencePool", "InferenceObjective", "InferenceModelRewrite"
VERSIONS: Mapping[str, tuple[str, str]] = {
    POOL: (POOL_GROUP, "v1"),
    OBJECTIVE: (X_GROUP, "v1alpha2"),
    REWRITE: (X_GROUP, "v1alpha2"),
}
"""API group and version by kind."""


def healthy(kind: str, name: str, namespace: str, pool: str, model: str) -> Manifest:
    """An objective or a rewrite of `pool`; the rewrite leads requests for the model called `name` to `model`.

    Raises:
        KeyError: it is neither: the pool under attack is the arm's own.
    """
    ref = {"group": POOL_GROUP, "kind": POOL, "name": pool}
    made: Mapping[str, Callable[[], Manifest]] = {
        OBJECTIVE: lambda: {"priority": 1, "poolRef": ref},
        REWRITE: lambda: {
            "poolRef": ref,
            "rules": [
                {
                    "matches": [{"model": {"type": "Exact", "value": name}}],
                    "targets": [{"modelRewrite": model, "weight": 1}],
                }
            ],
        },
    }
    group, version = VERSIONS[kind]
    return {
        "apiVersion": f"{group}/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": made[kind](),
    }
