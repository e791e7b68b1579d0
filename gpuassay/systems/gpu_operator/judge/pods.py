"""Whether a pod is ready, and why it is not: in the words of the kubelet and the scheduler."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay.manifest import Manifest, condition, dig, is_true

HARD = frozenset({
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
})  # fmt: skip
"""Reasons of a container that does not run which do not pass by waiting alone."""


def ready(pod: Manifest) -> bool:
    """Whether it is ready, by its own word."""
    return is_true(pod, "Ready")


def containers(pod: Manifest) -> list[Manifest]:
    """What the kubelet says of its containers, those that run first in the order of running."""
    return [
        one for kind in ("initContainerStatuses", "containerStatuses")
        for one in dig(pod, "status", kind, default=[])
    ]  # fmt: skip


def restarts(pod: Manifest) -> int:
    """Restarts of all its containers."""
    return sum(int(dig(one, "restartCount", default=0)) for one in containers(pod))


def hard(pod: Manifest) -> bool:
    """Whether something keeps it from running that does not pass by waiting alone."""
    return dig(pod, "status", "phase") == "Failed" or any(
        dig(one, "state", "waiting", "reason") in HARD for one in containers(pod)
    )


def starting(pod: Manifest) -> bool:
    """Whether it may get ready by waiting: it is not, and nothing is known to keep it from that."""
    placed = condition(pod, "PodScheduled") or {}
    return not (ready(pod) or hard(pod) or placed.get("status") == "False")


def why_not_ready(pod: Manifest) -> str:
    """Why it is not ready, in one line; "it does not say why" where nothing does."""
    if dig(pod, "status", "phase") == "Failed":
        return f"it has failed ({dig(pod, 'status', 'reason', default='without a reason')})"
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'unscheduled')}: {_one_line(str(scheduled.get('message', '')))}"
    return next(_of_containers(pod), "") or _of_conditions(pod) or "it does not say why"


def _of_containers(pod: Manifest) -> Iterator[str]:
    for one in containers(pod):
        name = one.get("name", "?")
        if reason := dig(one, "state", "waiting", "reason"):
            last = dig(one, "lastState", "terminated", "exitCode")
            ended = f", last exit code {last}" if last is not None else ""
            often = f", {one['restartCount']} restarts" if one.get("restartCount") else ""
            yield f"container {name} is waiting: {reason}{ended}{often}"
        elif code := dig(one, "state", "terminated", "exitCode", default=0):
            yield f"container {name} has ended with exit code {code}"
    for one in dig(pod, "status", "initContainerStatuses", default=[]):
        if dig(one, "state", "running"):
            yield f"init container {one.get('name', '?')} has not ended"
    for one in dig(pod, "status", "containerStatuses", default=[]):
        if not one.get("ready", False):
            yield f"container {one.get('name', '?')} runs and is not ready"


def _of_conditions(pod: Manifest) -> str:
    stated = condition(pod, "Ready") or {}
    return " ".join(filter(None, (str(stated.get("reason", "")), _one_line(str(stated.get("message", ""))))))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
