"""Reads collections of a cluster and keeps apart what is not there and what may not be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig

CORE = "v1"


class Reading:
    """What was read of one cluster; `unreadable` fills as things are refused."""

    def __init__(self, api: Api) -> None:
        """Nothing is asked yet."""
        self.api = api
        self.unreadable: dict[str, str] = {}
        self._kept: dict[tuple[str, ...], list[Manifest] | None] = {}

    @cached_property
    def groups(self) -> dict[str, Sequence[str]] | None:
        """Versions by API group, the preferred one first; None where discovery is refused."""
        try:
            told: list[Manifest] = self.api.read("/apis").get("groups") or []
        except ClusterError as error:
            self.unreadable["API groups"] = _why(error)
            return None
        return {str(one["name"]): _versions(one) for one in told}

    def serves(self, group: str) -> bool | None:
        """Whether an API group is served; None where that cannot be told."""
        return None if self.groups is None else group in self.groups

    def kinds(self, group: str) -> list[str] | None:
        """Plural names of what a group serves in its preferred version, `GROUP`'s subresources left out."""
        versions = (self.groups or {}).get(group)
        if self.groups is None or not versions:
            return None if self.groups is None else []
        try:
            told = self.api.read(f"/apis/{group}/{versions[0]}")
        except ClusterError as error:
            self.unreadable[f"resources of {group}"] = _why(error)
            return None
        resources: list[Manifest] = told.get("resources") or []
        return [str(one["name"]) for one in resources if "/" not in one["name"]]

    def all(self, group: str, plural: str, selector: str = "") -> list[Manifest] | None:
        """All objects of a kind of all namespaces: none where it is not served, None where it may not be read.

        `selector` is one of labels: of pods there may be tens of thousands.
        """
        key = (group, plural, selector)
        if key not in self._kept:
            self._kept[key] = self._list(*key)
        return self._kept[key]

    def _list(self, group: str, plural: str, selector: str) -> list[Manifest] | None:
        versions = [CORE] if not group else (self.groups or {}).get(group, ())
        if group and self.groups is None:
            self.unreadable[f"{plural}.{group}"] = "which APIs are served cannot be read"
            return None
        for version in versions:  # not every kind is served in the preferred version
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                return [*self.api.pages(f"{root}/{plural}", selector or None)]
            except ClusterError as error:
                if isinstance(error, ApiRefused) and error.status == 404:
                    continue
                self.unreadable[f"{plural}.{group}" if group else plural] = _why(error)
                return None
        return []

    def gaps(self) -> tuple[str, ...]:
        """What could not be read, a line for each reason: `REASON: WHAT, WHAT`."""
        reasons: dict[str, list[str]] = {}
        for what, why in self.unreadable.items():
            reasons.setdefault(why, []).append(what)
        return tuple(f"{why}: {', '.join(some)}" for why, some in reasons.items())

    def one(self, path: str, *, missed: bool = True) -> Manifest | None:
        """An object by its URL path: {} where it is not there, None where it may not be read, noted if `missed`."""
        try:
            return self.api.read(path)
        except ClusterError as error:
            if isinstance(error, ApiRefused) and error.status == 404:
                return {}
            if missed:
                self.unreadable[path] = _why(error)
            return None


def _versions(group: Manifest) -> Sequence[str]:
    first = str(dig(group, "preferredVersion", "version", default=""))
    versions: list[Manifest] = group.get("versions") or []
    every = [str(one["version"]) for one in versions]
    return [*([first] if first else []), *(one for one in every if one != first)]


def _why(error: ClusterError) -> str:
    """A refusal in few words."""
    if isinstance(error, ApiRefused) and error.status == 403:
        return "no right to read"
    return " ".join(str(error).split())[:200]
