"""Somebody's cluster with a gateway, picker and model servers, for tests that come to it from outside.

python -m tests.live.host_of_a_gateway FOLDER [key=value of an Arm ...]

Writes FOLDER/place.json when all is up, and runs until it is told to stop (SIGINT).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from gpuassay.cluster.embedded import embedded
from gpuassay.record.recorder import die_with_parent
from gpuassay.systems.llmd.component.deployment import routing
from gpuassay.systems.llmd.component.spec import Arm

NAMESPACE = "theirs"
_NOW = "2026-01-01T00:00:00Z"
REFUSED: dict[str, Any] = {
    "parentRef": {"kind": "Gateway", "name": "front"},
    "conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": _NOW},
        {
            "type": "ResolvedRefs", "status": "False", "reason": "InvalidExtensionRef", "message": "no such Service",
            "lastTransitionTime": _NOW,
        },
    ],
}  # fmt: skip
"""What a gateway controller says of a pool whose picker it cannot find."""


def main() -> None:
    die_with_parent()
    folder = Path(sys.argv[1])
    settings: dict[str, Any] = {"replicas": 4}
    for pair in sys.argv[2:]:
        key, _, value = pair.partition("=")
        settings[key] = int(value) if value.isdigit() else value
    refused = settings.pop("pool_status", "") == "refused"
    settings["probe"] = settings.get("profile", "precise") == "precise"
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda _, __: ended.set())
    with embedded(directory=folder, nodes=0) as cluster, routing(cluster, folder, NAMESPACE, Arm(**settings)) as up:
        if refused:
            cluster.api.patch(
                "InferencePool", up.pool, {"status": {"parents": [REFUSED]}}, NAMESPACE, subresource="status"
            )
        told = {
            "kubeconfig": str(cluster.kubeconfig), "url": up.url, "model": up.model, "pool": f"{NAMESPACE}/{up.pool}",
        }  # fmt: skip
        draft = folder / "place.new"
        draft.write_text(json.dumps(told))
        draft.replace(folder / "place.json")
        print("up", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
