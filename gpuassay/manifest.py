"""Types for Kubernetes objects as plain data.

Objects are handled as the JSON they are: builders return them, the API takes them, recordings hold them.

Example:
    from gpuassay.manifest import condition, name_of
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

Manifest = dict[str, Any]
"""A Kubernetes object as parsed JSON.

Example:
    pod: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}}
"""

Quantity = int | str
"""A Kubernetes quantity: 8 or "500m"."""


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Follow `path` through nested dicts and lists; `default` where a step is missing or null.

    Kubernetes leaves out empty fields or writes them as null, so a chain of `[...]` breaks on healthy objects.

    Example:
        dig(pod, "status", "containerStatuses", 0, "restartCount", default=0)
    """
    here = obj
    for step in path:
        if isinstance(here, dict):
            here = here.get(step)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif isinstance(here, list) and isinstance(step, int) and -len(here) <= step < len(here):  # pyright: ignore[reportUnknownArgumentType]
            here = here[step]  # pyright: ignore[reportUnknownVariableType]
        else:
            return default
        if here is None:
            return default
    return here  # pyright: ignore[reportUnknownVariableType]


def name_of(obj: Manifest) -> str:
    """The object's name."""
    return str(obj["metadata"]["name"])


def condition(obj: Manifest, kind: str) -> Manifest | None:
    """The entry of `status.conditions` whose type is `kind`, or None."""
    for entry in dig(obj, "status", "conditions", default=[]):
        if entry.get("type") == kind:
            return entry
    return None


def is_true(obj: Manifest, kind: str) -> bool:
    """Whether condition `kind` is present with status "True".

    Example:
        admitted = [one for one in recording.workloads() if is_true(one, "Admitted")]
    """
    entry = condition(obj, kind)
    return entry is not None and entry.get("status") == "True"


def epoch_second(text: str) -> int:
    """Whole seconds since the epoch of an RFC 3339 time as Kubernetes writes it; ValueError if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not an RFC 3339 time: {text!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return int(moment.timestamp() // 1)
