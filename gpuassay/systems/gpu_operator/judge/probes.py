"""Whether a pod that asked for one GPU or slice sees that one and no other, by `nvidia-smi -L` in the pod itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gpuassay.record.notes import Note
from gpuassay.systems.gpu_operator.judge.objects import PREFIX

_GPU = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[^)]+)\)", re.MULTILINE)
_MIG = re.compile(r"^\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<uuid>MIG-[^)]+)\)", re.MULTILINE)


class Probe(msgspec.Struct, frozen=True):
    """A pod of ours on a node.

    Attributes:
        node: the node.
        resource: of which it asked for one.
        profile: the slice that it should see; "" for a whole GPU.
        phase: of the pod in the end.
        text: what `nvidia-smi -L` said in it.
        why: why it did not run to its end, "" if it did.
    """

    node: str
    resource: str
    profile: str
    phase: str
    text: str = ""
    why: str = ""


PROBES = Note("probes", list[Probe], "pods of ours that listed the GPUs they were given")


def given_findings(told: Sequence[Probe]) -> list[str]:
    """Every pod that ran sees one device of what it asked for; one that could not run `nvidia-smi` is a finding."""
    return [
        f"node {one.node}, a pod with one {one.resource}: {text}" for one in told if (text := _wrong(one))
    ]  # fmt: skip


def _wrong(one: Probe) -> str:
    if one.phase == "Failed":
        return f"nvidia-smi -L could not be run: {one.why or 'it failed'}{f'; {_short(one.text)}' if one.text else ''}"
    if one.phase != "Succeeded":
        return ""
    gpus, slices = _GPU.findall(one.text), [(found["profile"], found["uuid"]) for found in _MIG.finditer(one.text)]
    if not gpus and not slices:
        return f"nvidia-smi -L lists no device: {_short(one.text) or 'nothing at all'}"
    seen = ", ".join(profile for profile, _ in slices) or f"{len(gpus)} whole GPUs"
    wanted = one.profile or "one whole GPU"
    right = [profile for profile, _ in slices] == [one.profile] if one.profile else (len(gpus) == 1 and not slices)
    return "" if right else f"it sees {seen}, expected {wanted}"


def undecided(told: Sequence[Probe]) -> str:
    """Why nothing can be said, in one line: no pod ran to its end; "" where one did."""
    if any(one.phase in ("Succeeded", "Failed") for one in told):
        return ""
    reasons = "; ".join(dict.fromkeys(f"{one.resource} on {one.node}: {one.why or one.phase}" for one in told))
    return f"no pod was given a slice: {reasons or 'no node that is cut offers any'}"


def profile_of(resource: str, product: str) -> str:
    """The slice that a resource stands for, as nvidia-smi calls it; by the product's label where slices are GPUs."""
    if resource.startswith(f"{PREFIX}mig-"):
        return resource.removeprefix(f"{PREFIX}mig-").removesuffix(".shared").replace("gb.", "gb+")
    return product.partition("-MIG-")[2].removesuffix("-SHARED").replace("gb.", "gb+")


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
