"""Sends one hostile request, and keeps what the API server said to it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, NotAnswered
from gpuassay.hostile.answers import Tried
from gpuassay.hostile.cases import Case
from gpuassay.manifest import Manifest, dig

CONFLICT = 409
WRITES = 20
"""Attempts to change an object before another writer is taken to be faster for ever."""


def send(what: str, case: Case | None, request: Callable[[], object]) -> Tried:
    """Send a request, with the value of `case`, or a healthy one where that is None."""
    field = case.field if case else ""
    shown = json.dumps(case.value)[:60] if case else ""
    try:
        request()
    except ApiRefused as refused:
        return Tried(what, field, shown, refused.status, refused.message[:600])
    except NotAnswered as silent:
        return Tried(what, field, shown, 0, silent.reason[:300])
    return Tried(what, field, shown, 200)


def write_over(api: Api, obj: Manifest) -> None:
    """Write an object over what there is of its name, again where another was faster; labels and status stay.

    Raises:
        ApiRefused: the API server takes it not.
    """
    metadata = obj["metadata"]
    for left in reversed(range(WRITES)):
        stored = api.get(obj["kind"], metadata["name"], metadata.get("namespace"))
        if stored is None:
            return
        try:
            api.replace(obj | {key: one for key, one in stored.items() if key in {"metadata", "status"}})
        except ApiRefused as refused:
            if refused.status != CONFLICT or not left:
                raise
        else:
            return


def schemas(api: Api, group: str, version: str, kinds: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Schemas of kinds of a group as this cluster's definitions have them, by kind."""
    found: dict[str, Mapping[str, Any]] = {}
    for one in api.list("CustomResourceDefinition"):
        kind = str(dig(one, "spec", "names", "kind"))
        if dig(one, "spec", "group") == group and kind in kinds:
            versions: list[Manifest] = dig(one, "spec", "versions")
            chosen = next(v for v in versions if v["name"] == version)
            found[kind] = chosen["schema"]["openAPIV3Schema"]
    return found


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """So many of them, the same for the same seed, spread over the kinds."""
    dice = random.Random(f"hostile {seed}")
    by_kind: dict[str, list[Case]] = {}
    for one in cases:
        by_kind.setdefault(one.kind, []).append(one)
    each = max(1, count // max(1, len(by_kind)))
    return [one for mine in by_kind.values() for one in dice.sample(mine, min(each, len(mine)))]
