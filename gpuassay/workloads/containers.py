"""Pods whose containers run our workload program (modules/workload/main.go) on a real node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuassay.manifest import Manifest

IMAGE = "localhost/gpuassay/workload:1"
"""Known to every real node of ours."""

NODE = "slices-node"
"""Name of the real node that scenarios of slices share."""

GRACE = 1
"""Seconds between SIGTERM and SIGKILL. Not 0: that deletes the object before the kubelet has done anything."""


def arguments(*steps: Sequence[object]) -> list[str]:
    """Arguments of the workload program: `arguments(("serve", 80), ("wait",))`."""
    found: list[str] = []
    for step in steps:
        found += [*(["--"] if found else []), *map(str, step)]
    return found


def container(name: str, *steps: Sequence[object], **more: Any) -> Manifest:
    """A container that takes `steps`; `more` are further fields of it."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "args": arguments(*steps), **more}


def pod(
    name: str,
    namespace: str,
    *steps: Sequence[object],
    node: str | None = None,
    restart: str = "Never",
    grace: int = GRACE,
    containers: Sequence[Manifest] | None = None,
    spec: Mapping[str, Any] | None = None,
    **more: Any,
) -> Manifest:
    """A pod of one container `main` that takes `steps`, or of the given containers.

    Args:
        name: of the pod.
        namespace: of the pod.
        *steps: of the workload program.
        node: hostname of the node it must run on, None for any.
        restart: restartPolicy.
        grace: seconds between SIGTERM and SIGKILL.
        containers: instead of `steps`.
        spec: further fields of the pod's spec.
        **more: further fields of the container `main`.
    """
    made = list(containers) if containers is not None else [container("main", *steps, **more)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": grace,
            **({"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}),
            "containers": made,
            **(spec or {}),
        },
    }


def probe(path: str, port: int, *, period: int = 1, failures: int = 1) -> Manifest:
    """An HTTP probe every `period` seconds that gives up after `failures` answers that are not 2xx or 3xx."""
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": period, "failureThreshold": failures}
