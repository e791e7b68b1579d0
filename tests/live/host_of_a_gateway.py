"""Somebody's cluster with a gateway, picker and model servers, for tests that come to it from outside.

python -m tests.live.host_of_a_gateway FOLDER [key=value of an Arm ...] [mutant=NAME] [path=PATH]

`mutant` breaks it as the suite's mutant of that name does; `path` is the only one that it serves, beside the list of
models. Writes FOLDER/place.json when all is up, and runs until it is told to stop (SIGINT).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.record.recorder import die_with_parent
from gpuassay.scenarios.mutants import get
from gpuassay.systems.llmd.component.deployment import Routing, routing
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


_REFUSES = """function envoy_on_request(h)
  local path = h:headers():get(":path")
  if path ~= "%s" and path ~= "/v1/models" then h:respond({[":status"] = "404"}, "no such path") end
end"""


def _only(path: str, bootstrap: dict[str, Any]) -> None:
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    config = {"@type": kind, "default_source_code": {"inline_string": _REFUSES % path}}
    manager["http_filters"].insert(0, {"name": "envoy.filters.http.lua", "typed_config": config})


def _picker_pod(cluster: Cluster, up: Routing) -> None:
    """The Service that the pool names, and a Pod behind it whose metrics are the picker's: where we look for them."""
    if up.picker is None:
        return
    command = [str(word) for word in up.picker.child.command]
    port = int(command[command.index("--metrics-port") + 1])
    labels = {"app": "picker"}
    ports = [{"name": "metrics", "containerPort": port}]
    meta = {"namespace": NAMESPACE}
    cluster.api.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "name": f"{up.pool}-picker"},
         "spec": {"selector": labels, "ports": [{"port": 9002}]}}
    )  # fmt: skip
    cluster.api.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "name": "picker-0", "labels": labels},
         "spec": {"schedulerName": "nobody", "containers": [{"name": "epp", "image": "epp", "ports": ports}]}}
    )  # fmt: skip
    cluster.api.patch("Pod", "picker-0", {"status": {"podIP": "127.0.0.1"}}, NAMESPACE, subresource="status")


def main() -> None:
    die_with_parent()
    folder = Path(sys.argv[1])
    settings: dict[str, Any] = {"replicas": 4}
    for pair in sys.argv[2:]:
        key, _, value = pair.partition("=")
        settings[key] = int(value) if value.isdigit() else value
    refused = settings.pop("pool_status", "") == "refused"
    broken, path = settings.pop("mutant", ""), settings.pop("path", "")
    if path:
        settings["change_gateway"] = partial(_only, path)
    settings["probe"] = not broken and settings.get("profile", "precise") == "precise"
    arm = Arm(**settings)
    arm = get(broken).change_arm(arm) if broken else arm
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda _, __: ended.set())
    with embedded(directory=folder, nodes=0) as cluster, routing(cluster, folder, NAMESPACE, arm) as up:
        _picker_pod(cluster, up)
        if refused:
            cluster.api.patch(
                "InferencePool", up.pool, {"status": {"parents": [REFUSED]}}, NAMESPACE, subresource="status"
            )
        told = {
            "kubeconfig": str(cluster.kubeconfig), "url": up.url, "model": up.model, "pool": f"{NAMESPACE}/{up.pool}",
        }  # fmt: skip
        if up.picker is not None:
            told["picker"] = up.picker.target
        draft = folder / "place.new"
        draft.write_text(json.dumps(told))
        draft.replace(folder / "place.json")
        print("up", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
