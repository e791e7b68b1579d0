"""What a container says of the GPUs and slices that it was given, read from the first lines of its log.

Three of its witnesses: `nvidia-smi -L`, which asks the driver; the environment that the device plugin sets; the device
nodes that it can open. The driver's word counts most, since it is what a program finds.
"""

from __future__ import annotations

import re

from gpuassay.silicon import minors
from gpuassay.systems.slices.notes import Grant

WHOLE = "gpu"
"""What is given where it is no slice."""

_GPU = re.compile(r"^GPU (\d+): .*\(UUID: ([\w-]+)\)", re.MULTILINE)
_SLICE = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: ([\w/-]+)\)", re.MULTILINE)
_NAMED = re.compile(r"^NVIDIA_VISIBLE_DEVICES=(.*)$", re.MULTILINE)
_CAPABILITY = re.compile(r"^nvidia-cap(\d+)$", re.MULTILINE)
_SUM = re.compile(r"^sum=(\d+)$", re.MULTILINE)

FROM_DRIVER, FROM_ENVIRONMENT, FROM_NODES = "nvidia-smi", "environment", "device nodes"


def grants(words: str) -> list[Grant]:
    """What a container was given, each device once, by the best of its witnesses; nothing where none says anything.

    Of device nodes only the GPU and the number of the instance are known, so their UUID is words about these.
    """
    named = _named(words)
    listed = _listed(words)
    if named and listed:
        # a container without a driver's limits sees all GPUs; what it was named is what it was given
        known = {one.uuid: one for one in listed}
        return [known.get(uuid, Grant(uuid, "", "", FROM_ENVIRONMENT)) for uuid in named]
    if named:
        return [Grant(uuid, "", "", FROM_ENVIRONMENT) for uuid in named]
    return listed or _opened(words)


def _named(words: str) -> list[str]:
    found = _NAMED.search(words)
    said = found[1].strip() if found else ""
    return sorted(one for one in said.split(",") if one) if said not in ("", "void", "all", "none") else []


def _listed(words: str) -> list[Grant]:
    found: list[Grant] = []
    parents = list(_GPU.finditer(words))
    for number, parent in enumerate(parents):
        end = parents[number + 1].start() if number + 1 < len(parents) else len(words)
        slices = _SLICE.findall(words, parent.end(), end)
        found += [Grant(uuid, profile, parent[2], FROM_DRIVER) for profile, uuid in slices]
        if not slices:
            found.append(Grant(parent[2], WHOLE, parent[2], FROM_DRIVER))
    return sorted(found, key=lambda one: one.uuid)


def _opened(words: str) -> list[Grant]:
    found: dict[tuple[int, int], Grant] = {}
    for number in map(int, _CAPABILITY.findall(words)):
        where = minors.instance_of(number)
        if where is not None and where[2] is not None:
            gpu, instance, _ = where
            found[gpu, instance] = Grant(f"instance {instance} of GPU {gpu}", "", str(gpu), FROM_NODES)
    return [found[key] for key in sorted(found)]


def contradictions(words: str) -> list[str]:
    """Devices that a container was named and that its driver does not show it; none where only one of them speaks."""
    listed = {one.uuid for one in _listed(words)}
    unknown = [uuid for uuid in _named(words) if listed and uuid not in listed]
    return [f"was named {uuid}, and nvidia-smi shows no such device" for uuid in unknown]


def computed(words: str) -> int | None:
    """The sum that the container was asked for: only a container that runs knows it. None where it said none."""
    found = _SUM.search(words)
    return int(found[1]) if found else None
