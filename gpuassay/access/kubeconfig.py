"""Finds a context in one or more kubeconfig files, and what it names.

Rules of client-go (`clientcmd`): of several files the first that has a name counts, as a whole; one name twice in a
file is refused; the first current-context counts; paths are relative to the file in which they stand; of a list, files
that do not exist are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from gpuassay.access import shapes
from gpuassay.access.document import read_document
from gpuassay.access.errors import AccessError

T = TypeVar("T")

_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}


IN_CLUSTER = "in-cluster"
"""Instead of a file: the ServiceAccount of the pod that we run in."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def given(option: Path | str | None) -> Path | None:
    """The kubeconfig of an option, else of $KUBECONFIG, else of the pod that we run in; None: there is none of them."""
    if option:
        return absolute(option)
    if told := os.environ.get("KUBECONFIG"):
        return absolute(told)
    return Path(IN_CLUSTER) if os.environ.get("KUBERNETES_SERVICE_HOST") and SERVICE_ACCOUNT.exists() else None


def members(kubeconfig: Path | str) -> list[Path]:
    """The files that a kubeconfig option names: one file, or several as in $KUBECONFIG; none in a pod.

    A file whose name holds the separator, as an ARN does, is one file where it exists.
    """
    if str(kubeconfig) == IN_CLUSTER:
        return []
    whole = Path(kubeconfig).expanduser()
    text = str(kubeconfig)
    if os.pathsep not in text or whole.exists():
        return [whole.absolute()]
    return [Path(part).expanduser().absolute() for part in text.split(os.pathsep) if part]


def absolute(kubeconfig: Path | str) -> Path:
    """The same files by absolute names, so that another process finds them."""
    if str(kubeconfig) == IN_CLUSTER:
        return Path(IN_CLUSTER)
    return Path(os.pathsep.join(map(str, members(kubeconfig))))


@dataclass(frozen=True)
class Entry:
    """A named part and the file in which it stands."""

    body: Mapping[str, Any] = field(repr=False)
    path: Path

    def beside(self, path: str) -> Path:
        """A path of this entry: relative ones begin at its file's folder."""
        return self.path.parent / path


@dataclass(frozen=True)
class Chosen:
    """What one context names.

    Attributes:
        context: its name.
        files: the kubeconfig, for messages.
        cluster_name: the name of its cluster.
        cluster: the server.
        cluster_entry: where that stands.
        user_name: the name of its user; "" without one.
        user: the credentials.
        user_entry: where those stand.
    """

    context: str
    files: str
    cluster_name: str
    cluster: shapes.Cluster = field(repr=False)
    cluster_entry: Entry
    user_name: str
    user: shapes.User = field(repr=False)
    user_entry: Entry

    @property
    def of_cluster(self) -> str:
        """The cluster, for messages."""
        return f"cluster {self.cluster_name!r} of kubeconfig {self.cluster_entry.path}"

    @property
    def of_user(self) -> str:
        """The user, for messages."""
        return f"user {self.user_name!r} of kubeconfig {self.user_entry.path}"


class _Merged:
    """The named parts of all files."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Entry]] = {name: {} for name in _LISTS}
        self.current = ""

    def add(self, path: Path, document: object) -> None:
        if document is None:
            return
        if not isinstance(document, dict):
            raise AccessError(f"kubeconfig {path} has no contexts: is it a kubeconfig?")
        told = cast("dict[str, Any]", document)
        _require_config(path, told)
        current = told.get("current-context") or ""
        if not isinstance(current, str):
            raise AccessError(f"kubeconfig {path}: current-context must be a name")
        self.current = self.current or current
        for plural, single in _LISTS.items():
            for name, entry in _named(path, plural, single, told.get(plural)).items():
                self.parts[plural].setdefault(name, entry)


def _require_config(path: Path, told: Mapping[str, Any]) -> None:
    kind, version = told.get("kind") or "Config", told.get("apiVersion") or "v1"
    if kind != "Config":
        raise AccessError(
            f"kubeconfig {path} has no contexts: is it a kubeconfig? Its kind is {_short(kind)}, not Config"
        )
    if version != "v1":
        raise AccessError(f"kubeconfig {path} has apiVersion {_short(version)}; only v1 is known")


def _short(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str) else _name_of(value)


def _name_of(value: object) -> str:
    """What a value is, in YAML's words; never what it says."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a map"


def _named(path: Path, plural: str, single: str, told: object) -> dict[str, Entry]:
    if told is None:
        return {}
    if not isinstance(told, list):
        raise AccessError(
            f"kubeconfig {path}: {plural} must be a list of 'name' and '{single}', but is {_name_of(told)}"
        )
    found: dict[str, Entry] = {}
    for number, one in enumerate(cast("list[object]", told), 1):
        where = f"kubeconfig {path}: entry {number} of {plural}"
        if not isinstance(one, dict):
            raise AccessError(f"{where} must be a map of 'name' and '{single}', but is {_name_of(one)}")
        entry = cast("dict[str, Any]", one)
        name, body = entry.get("name"), entry.get(single)
        if not isinstance(name, str) or not name:
            raise AccessError(f"{where} has no name")
        if body is not None and not isinstance(body, dict):
            raise AccessError(f"{where} ({name!r}): '{single}' must be a map, but is {_name_of(body)}")
        if name in found:
            raise AccessError(
                f"kubeconfig {path} has two {plural} of the name {name!r}, so which one counts cannot be told; rename "
                "or remove one"
            )
        found[name] = Entry(cast("dict[str, Any]", body or {}), path)
    return found


def choose(kubeconfig: Path | str, context: str | None = None) -> Chosen:
    """What a context names; None: the current one.

    Raises:
        AccessError: a file cannot be read or is no kubeconfig, or the context leads nowhere.
    """
    merged = _pod() if str(kubeconfig) == IN_CLUSTER else _read(kubeconfig)
    label = os.pathsep.join(map(str, members(kubeconfig))) or IN_CLUSTER
    contexts = merged.parts["contexts"]
    if not contexts:
        raise AccessError(f"kubeconfig {label} has no contexts: is it a kubeconfig?")
    known = ", ".join(contexts)
    name = context or merged.current
    if not name:
        raise AccessError(f"kubeconfig {label} has no current context: choose one of {known}")
    if name not in contexts:
        whose = "" if context else " (its current-context)"
        raise AccessError(f"kubeconfig {label} has no context {name!r}{whose}; it has {known}")
    entry = contexts[name]
    start = f"context {name!r} of {entry.path} cannot be used:"
    told = _part(shapes.Context, entry, f"context {name!r} of kubeconfig {entry.path}")
    if not told.cluster:
        raise AccessError(f"{start} it names no cluster")
    cluster = _followed(merged, "clusters", told.cluster, start)
    user = _followed(merged, "users", told.user, start) if told.user else Entry({}, entry.path)
    return Chosen(
        name, label,
        told.cluster, _part(shapes.Cluster, cluster, f"cluster {told.cluster!r} of kubeconfig {cluster.path}"), cluster,
        told.user or "", _part(shapes.User, user, f"user {told.user!r} of kubeconfig {user.path}"), user,
    )  # fmt: skip


def _pod() -> _Merged:
    """What a pod is given, as a kubeconfig."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    if not host:
        raise AccessError(
            f"kubeconfig {IN_CLUSTER}: KUBERNETES_SERVICE_HOST is not set, so this is no pod; name a file"
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    merged = _Merged()
    document = {
        "current-context": IN_CLUSTER,
        "clusters": [{"name": IN_CLUSTER, "cluster": {"server": server, "certificate-authority": "ca.crt"}}],
        "users": [{"name": IN_CLUSTER, "user": {"tokenFile": "token"}}],
        "contexts": [{"name": IN_CLUSTER, "context": {"cluster": IN_CLUSTER, "user": IN_CLUSTER}}],
    }
    merged.add(SERVICE_ACCOUNT / IN_CLUSTER, document)
    return merged


def _read(kubeconfig: Path | str) -> _Merged:
    paths = members(kubeconfig)
    if not paths:
        raise AccessError(f"kubeconfig {str(kubeconfig)!r} names no file")
    merged = _Merged()
    there = [path for path in paths if len(paths) == 1 or path.exists()]
    if not there:
        raise AccessError(f"kubeconfig {os.pathsep.join(map(str, paths))}: none of these files exists")
    for path in there:
        merged.add(path, read_document(path))
    return merged


def _followed(merged: _Merged, plural: str, name: str, start: str) -> Entry:
    found = merged.parts[plural].get(name)
    if found is None:
        known = ", ".join(merged.parts[plural]) or "none"
        raise AccessError(f"{start} there is no {_LISTS[plural]} {name!r}; {plural} are {known}")
    return found


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$")
_YAML_NAMES = {"array": "a list", "object": "a map", "str": "a text", "null": "nothing"}


def _part(shape: type[T], entry: Entry, whose: str) -> T:
    try:
        return msgspec.convert(dict(entry.body), shape)
    except msgspec.ValidationError as e:
        found = _AT.match(str(e))
        what, where = (found["what"], found["where"]) if found else (str(e), None)
        if (types := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", what)) is not None:
            wanted = " or ".join(_YAML_NAMES.get(one, one) for one in types[1].split(" | ") if one != "null")
            what = f"{wanted} is needed, not {_YAML_NAMES.get(types[2], types[2])}"
        raise AccessError(f"{whose}: {where or 'there'}: {what}") from None
