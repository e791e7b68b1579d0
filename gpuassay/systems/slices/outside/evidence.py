"""Evidence that a container really ran: it computes a sum that nobody else was told.

Nodes that run no containers (KWOK, virtual kubelets) say of every pod that it runs. What such a pod "was given" is no
evidence of anything, so a scenario that meets one is broken: ERROR, never PASS.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.judge.words import computed

WITNESS: tuple[Sequence[object], ...] = (
    ("env", "NVIDIA_VISIBLE_DEVICES"), ("list", "/dev/nvidia-caps"), ("gpus",), ("print", "."),
)  # fmt: skip
"""What a container on somebody's node says at its beginning, by a shell; the last step ends it."""

_ASKED = re.compile(r"sum=\$\(\((\d+)\*(\d+)\)\)")


def sum_step() -> tuple[str, str]:
    """The step that computes."""
    return "add", f"{secrets.randbelow(10**6) + 2}*{secrets.randbelow(10**6) + 2}"


def asked_sum(pod: Manifest, container: str) -> int | None:
    """What a container is to compute; None where it was not asked."""
    every = [one for kind in ("initContainers", "containers") for one in dig(pod, "spec", kind, default=[])]
    for one in every:
        if one["name"] == container and (found := _ASKED.search(" ".join(one.get("command", [])))):
            return int(found[1]) * int(found[2])
    return None


def require(pod: Manifest, container: str, words: str) -> None:
    """Refuse a container that is said to run, or to have run, and of which nothing shows that it did.

    Raises:
        ClusterError: one line says what is lacking.
    """
    name, node = pod["metadata"]["name"], dig(pod, "spec", "nodeName", default="?")
    kinds = ("containerStatuses", "initContainerStatuses")
    statuses = [one for kind in kinds for one in dig(pod, "status", kind, default=[]) if one["name"] == container]
    status: Manifest = statuses[0] if statuses else {}
    state: Manifest = dig(status, "state", "running") or dig(status, "state", "terminated") or {}
    lacking = [
        *([] if status.get("imageID") else ["an image"]),
        *([] if state.get("startedAt") else ["a time of its start"]),
        *([] if computed(words) == asked_sum(pod, container) is not None else ["what it was to compute"]),
    ]
    if lacking:
        raise ClusterError(
            f"container {container} of pod {name} is said to run on node {node}, but there is no evidence of it: "
            f"{' and '.join(lacking)}; a node that runs no containers cannot be judged"
        )
