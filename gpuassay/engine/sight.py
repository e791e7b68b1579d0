"""What a run on somebody's cluster could not see or do for want of a right, told by verb and resource.

Whoever may not watch Workloads sees none, and would take a sound Kueue for one that admits nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from gpuassay.capabilities import DENIED
from gpuassay.cluster.access_review import Right, lacking
from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest
from gpuassay.record.resources import Resource
from gpuassay.system import Rule, System


def unseen(api: Api, recorded: Iterable[Resource], all_systems: Iterable[System]) -> Mapping[str, str]:
    """By system, which of the recorded kinds that its scenarios need the caller may not list or watch.

    Args:
        api: of the caller.
        recorded: what the recorder watches.
        all_systems: whose rules say which of these their scenarios need, without condition.

    Raises:
        ClusterError: the API server does not say.
    """
    groups: list[Manifest] = api.read("/apis").get("groups") or []
    served = {str(one["name"]) for one in groups}
    kinds = {_of(one.path) for one in recorded}
    needed = {
        system.name: [
            Right(*kind, verb)
            for rule in system.rules
            for kind in ((rule.group, plural) for plural in rule.resources.split())
            for verb in _always(rule)
            if kind in kinds and (not rule.group or rule.group in served) and verb in ("list", "watch")
        ]
        for system in all_systems
    }
    missing = set(lacking(api, sorted({one for some in needed.values() for one in some})))
    found = {name: [one for one in some if one in missing] for name, some in needed.items()}
    return {name: _sentence(some, name) for name, some in found.items() if some}


def _of(path: str) -> tuple[str, str]:
    """Group and plural of a collection's path, such as `/apis/batch/v1/jobs`."""
    parts = path.strip("/").split("/")
    return ("", parts[-1]) if parts[0] == "api" else (parts[1], parts[-1])


def _always(rule: Rule) -> Sequence[str]:
    return [] if "(" in rule.verbs else rule.verbs.split()


def _sentence(missing: Collection[Right], system: str) -> str:
    some = ", ".join(map(str, missing))
    return f"{DENIED}{some}, so what happens could not be seen{_remedy(system)}"


def denied(rights: Collection[str], system: str, reason: str) -> str:
    """Why a scenario says nothing that was denied some rights; `reason`: what it broke with, or ""."""
    some = ", ".join(sorted(rights))
    return f"{DENIED}{some}{_remedy(system)}" + (f"; then {reason}" if reason else "")


def _remedy(system: str) -> str:
    return f" (`gpuassay role {system}` prints the rights that a run takes)"
