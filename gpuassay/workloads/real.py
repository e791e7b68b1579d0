"""Turning pods made for fake nodes into pods that really run.

On fake nodes a pod's run time and exit code are annotations that KWOK plays. On real nodes the container does it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.workloads.containers import IMAGE
from gpuassay.workloads.in_a_shell import with_shell


def _pods(obj: Manifest) -> Iterator[tuple[Manifest, Manifest]]:
    """(metadata, spec) of every pod or pod template inside an object."""
    if obj.get("kind") == "Pod":
        yield obj["metadata"], obj["spec"]
    for path in (("spec", "template"), ("spec", "leaderWorkerTemplate", "workerTemplate")):
        template = dig(obj, *path)
        if dig(template, "spec", "containers"):
            yield template.get("metadata") or {}, template["spec"]
    for replicated in dig(obj, "spec", "replicatedJobs", default=[]):
        template = dig(replicated, "template", "spec", "template")
        yield template.get("metadata") or {}, template["spec"]


FOLDER = "/etc/gpuassay"
"""Where a container finds its pod's run time, once the annotation says one."""


def with_real_containers(obj: Manifest, image: str) -> Manifest:
    """The object, its containers running `image` for the annotated time and exiting as annotated (edited in place).

    A pod that says something of its readiness has a probe for it, which reads that annotation in a file likewise.
    `image` needs a POSIX shell with `sleep`. A pod without a run time runs until it is deleted, or until its annotation
    says one: the kubelet shows it in a file (downward API), as KWOK reads it on fake nodes. An annotation may say what
    is run instead of a sleep. Containers of our workload program take its steps in that shell.
    """
    if obj.get("kind") == "Workload":
        return obj  # nothing runs
    for metadata, spec in _pods(obj):
        if any(one["image"] == IMAGE for one in spec["containers"]):
            with_shell(spec, image, IMAGE)
            continue
        notes: Manifest = metadata.get("annotations") or {}
        seconds = str(notes.get(labels.RUN_FOR, "")).removesuffix("s")
        code = notes.get(labels.EXIT_CODE, "0")
        later = (
            f"until [ -s {FOLDER}/run-for ]; do sleep 1; done; t=$(cat {FOLDER}/run-for); sleep ${{t%s}}; exit {code}"
        )
        doing = str(notes.get(labels.COMMAND, "sleep {seconds}")).replace("{seconds}", seconds)
        script = f"{doing}; exit {code}" if seconds else later
        for container in spec["containers"]:
            container |= {"image": image, "command": ["/bin/sh", "-c", script]}
            if labels.NOT_READY in notes or labels.START_DELAY in notes:
                container["readinessProbe"] = _probe(str(notes.get(labels.START_DELAY, "")))
            if not seconds or "readinessProbe" in container:
                mount = {"name": _VOLUME["name"], "mountPath": FOLDER}
                container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
        if not seconds or any("readinessProbe" in container for container in spec["containers"]):
            spec["volumes"] = [*(spec.get("volumes") or []), copy.deepcopy(_VOLUME)]
    return obj


def _probe(start_delay: str) -> Manifest:
    """Ready after the delay (whole seconds, rounded up), as long as no annotation says that it is not."""
    script = f"! [ -s {FOLDER}/not-ready ]"
    delay = math.ceil(float(start_delay.removesuffix("s") or 0))
    return {
        "exec": {"command": ["/bin/sh", "-c", script]}, "initialDelaySeconds": delay, "periodSeconds": 1,
        "failureThreshold": 1, "timeoutSeconds": 5,
    }  # fmt: skip


_VOLUME: Manifest = {
    "name": "gpuassay",
    "downwardAPI": {
        "items": [
            {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{note}']"}}
            for path, note in (("run-for", labels.RUN_FOR), ("not-ready", labels.NOT_READY))
        ]
    },
}
