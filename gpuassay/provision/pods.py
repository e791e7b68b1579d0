"""Why pods of a namespace do not run, in one line each: images that cannot be pulled, no place, crashes."""

from __future__ import annotations

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig

MOST = 300
"""Characters of a reason; of a longer one the beginning says what was tried, and the end why it failed."""
_BEGINNING = frozenset({"ContainerCreating", "PodInitializing"})


def troubles(api: Api, namespace: str) -> list[str]:
    """What keeps pods of a namespace from being ready, by pod; those that only begin are left out."""
    try:
        pods = api.list("Pod", namespace)
    except ApiRefused:
        return []
    return [f"pod {one['metadata']['name']}: {why}" for one in pods if (why := trouble(one))]


def trouble(pod: Manifest) -> str:
    """What is wrong with a pod, "" where nothing is known to be."""
    conditions: list[Manifest] = dig(pod, "status", "conditions", default=[])
    for one in conditions:
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return f"has no place: {_short(one)}"
    status: Manifest = pod.get("status") or {}
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = dig(container, "state", "waiting", default={})
        if waiting and waiting.get("reason") not in _BEGINNING:
            return f"container {container['name']}: {waiting.get('reason')}: {_short(waiting)}"
        ended = dig(container, "state", "terminated", default={})
        if ended.get("exitCode"):
            return f"container {container['name']} ended with code {ended['exitCode']}"
    return ""


def _short(one: Manifest) -> str:
    text = " ".join(str(one.get("message") or one.get("reason") or "(no message)").split())
    return text if len(text) <= MOST else f"{text[: MOST // 2]} ... {text[-MOST // 2 :]}"


def refusals(api: Api, namespace: str) -> list[str]:
    """Why controllers of a namespace could not make pods (quota, Pod Security, webhooks), newest first, each once."""
    try:
        events = api.list("Event", namespace)
    except ApiRefused:
        return []
    found = [
        f"{dig(one, 'involvedObject', 'kind')} {dig(one, 'involvedObject', 'name')}: {_short(one)}"
        for one in reversed(events)
        if one.get("reason") in ("FailedCreate", "FailedMount") and one.get("type") == "Warning"
    ]
    return list(dict.fromkeys(found))[:3]
