"""Objects that are to be deleted and do not go: something that nobody does any more holds them by a finalizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gpuassay.discovery.reading import Reading
from gpuassay.manifest import Manifest, dig

PATIENCE = 60.0
"""Seconds past its deletion after which an object counts as stuck: pods have had their grace by then."""
BUILT_IN = (
    ("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("", "persistentvolumes"), ("batch", "jobs"),
    ("apps", "deployments"), ("apps", "daemonsets"), ("apps", "statefulsets"), ("resource.k8s.io", "resourceclaims"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
)  # fmt: skip
"""Kinds of Kubernetes itself that are looked at beside all custom ones; Secrets are never read."""


@dataclass(frozen=True)
class Stuck:
    """One of them.

    Attributes:
        words: what it is, since when, and what holds it.
        groups: API groups of it and of its finalizers.
        way_out: what to do where nothing better is known.
    """

    words: str
    groups: tuple[str, ...]
    way_out: str


def stuck(reading: Reading, now: datetime) -> Iterator[Stuck]:
    """Namespaces, then other objects, that should have been gone `PATIENCE` before `now`."""
    for one in reading.all("", "namespaces") or ():
        if seconds := _late(one, now):
            yield _namespace(one, seconds)
    for group, plural in (*BUILT_IN, *_custom(reading)):
        for one in reading.all(group, plural) or ():
            finalizers: list[str] = dig(one, "metadata", "finalizers", default=[])
            if finalizers and (seconds := _late(one, now)):
                yield _object(one, group, plural, finalizers, seconds)


def _custom(reading: Reading) -> list[tuple[str, str]]:
    definitions = reading.all("apiextensions.k8s.io", "customresourcedefinitions") or ()
    return [(str(one["spec"]["group"]), str(one["spec"]["names"]["plural"])) for one in definitions]


def _late(one: Manifest, now: datetime) -> int:
    """Whole seconds since its deletion; 0 where it is not being deleted, or not for long."""
    when = dig(one, "metadata", "deletionTimestamp")
    if not when:
        return 0
    seconds = (now - datetime.fromisoformat(str(when))).total_seconds()
    return int(seconds) if seconds > PATIENCE else 0


def _namespace(one: Manifest, seconds: int) -> Stuck:
    """What its conditions say: finalizers of objects in it, or an API that cannot be asked."""
    name = one["metadata"]["name"]
    reasons = [
        " ".join(str(state.get("message", "")).split())[:300]
        for state in dig(one, "status", "conditions", default=[])
        if state.get("status") == "True"
    ]
    held: list[str] = dig(one, "metadata", "finalizers", default=[])
    why = "; ".join(reasons) or (f"held by {', '.join(held)}" if held else "it does not say why")
    groups = tuple(word.strip(".,:;()").split("/")[0] for reason in reasons for word in reason.split() if "." in word)
    return Stuck(
        f"namespace {name} has been terminating for {_time(seconds)}: {why}", (name, *groups),
        "start the controllers of what is named there; where an API cannot be asked, mend its APIService first",
    )  # fmt: skip


def _object(one: Manifest, group: str, plural: str, finalizers: list[str], seconds: int) -> Stuck:
    meta = one["metadata"]
    namespace, name = meta.get("namespace") or "", meta["name"]
    kind = f"{plural}.{group}" if group else plural
    where = f" -n {namespace}" if namespace else ""
    patch = """--type merge -p '{"metadata":{"finalizers":null}}'"""
    return Stuck(
        f"{kind} {f'{namespace}/' if namespace else ''}{name} has been terminating for {_time(seconds)}: held by "
        f"finalizers {', '.join(finalizers)}",
        (group, *(word.split("/")[0] for word in finalizers)),
        "start the controller that takes them off, or, if it is gone for good: "
        f"kubectl patch {kind} {name}{where} {patch}",
    )


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 600 else f"{seconds // 60} min" if seconds < 36000 else f"{seconds // 3600} h"
