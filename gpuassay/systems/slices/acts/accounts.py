"""Who holds which slice by the books that lie on the node: the driver's checkpoint, CDI files, containers that live.

Containers are read from the runtime's own folder (a bundle for each task, with what it was told to give) and from the
cgroups, whose processes the kernel lists; neither kubelet nor API server is asked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.notes import Contained

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node

BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
"""Folder of the tasks of containers that the kubelet has asked for; each has the container's id for its name."""
_CLAIM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANNOTATIONS = ("sandbox-uid", "sandbox-name", "container-name", "container-type")
"""What containerd notes of a container, each behind `io.kubernetes.cri.`."""

Resolve = Callable[[str], list[str]]
"""UUIDs of the slices that lines of environment and names of device nodes stand for."""


def prepared(checkpoint: Path) -> dict[str, list[str]]:
    """Devices by claim, as the DRA driver's checkpoint has them; a claim whose preparation began counts."""
    if not checkpoint.exists():
        return {}
    claims: dict[str, Manifest] = dig(json.loads(checkpoint.read_text()), "v2", "preparedClaims", default=None) or {}
    return {
        uid: [one["device"] for one in dig(claim, "status", "allocation", "devices", "results", default=[])]
        for uid, claim in claims.items()
    }


def named_in_cdi(folder: Path, device: re.Pattern[str]) -> dict[str, list[str]]:
    """Devices by claim, as the names of CDI files and what stands in them say."""
    files = sorted(folder.glob("*claim*")) if folder.exists() else []
    found: dict[str, list[str]] = {}
    for one in files:
        claim = _CLAIM.search(one.name)
        found[claim[0] if claim else one.name] = sorted({hit[0] for hit in device.finditer(_text(one))})
    return found


def booked(checkpoint: Path) -> dict[str, list[str]]:
    """Devices by pod, as the kubelet's checkpoint of device plugins has them; of pods that are gone, too."""
    if not checkpoint.exists():
        return {}
    entries: list[Manifest] = dig(json.loads(checkpoint.read_text()), "Data", "PodDeviceEntries", default=None) or []
    found: dict[str, set[str]] = {}
    for one in entries:  # a slice that an init container had before stands there twice
        found.setdefault(one["PodUID"], set()).update(uuid for uuids in one["DeviceIDs"].values() for uuid in uuids)
    return {uid: sorted(uuids) for uid, uuids in found.items()}


def contained(node: Node, resolve: Resolve) -> list[Contained]:
    """Containers of the node that were given slices, and those whose processes live though their task is gone."""
    living = _living(node)
    found: list[Contained] = []
    folder = node.paths.at(BUNDLES)
    for bundle in sorted(folder.iterdir()) if folder.exists() else []:
        processes = living.pop(bundle.name, 0)
        try:
            spec: Manifest = json.loads(_text(bundle / "config.json") or "{}")
        except ValueError:  # it is being written
            continue
        told: dict[str, str] = spec.get("annotations") or {}
        uid, pod, name, kind = (told.get(f"io.kubernetes.cri.{one}", "") for one in _ANNOTATIONS)
        slices = resolve("\n" + "\n".join(_given(spec)))
        if slices and kind == "container":
            found.append(Contained(uid, pod, name, slices, processes))
    return found + [Contained("", "", name, [], count) for name, count in living.items()]


def _given(spec: Manifest) -> list[str]:
    """Lines that a container would say of itself: its environment, and the names of its device nodes."""
    nodes: list[Manifest] = dig(spec, "linux", "devices", default=None) or []
    return [*(dig(spec, "process", "env", default=None) or []), *(PurePath(one["path"]).name for one in nodes)]


def _living(node: Node) -> dict[str, int]:
    """Processes in each container's cgroup, by its id."""
    from gpuassay.cluster.node import cgroups

    found: dict[str, int] = {}
    for hierarchy in cgroups.hierarchies():
        for folder, _, _ in os.walk(hierarchy.at / node.cgroup):
            place = Path(folder)
            count = len(_text(place / "cgroup.procs").split())
            if count and re.fullmatch(r"[0-9a-f]{64}", place.name):
                found[place.name] = max(count, found.get(place.name, 0))
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it went meanwhile
        return ""
