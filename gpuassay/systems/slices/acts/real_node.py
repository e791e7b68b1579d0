"""What scenarios of slices do on the real node: pods that say what they are given, restarts, and looks from outside.

One node is there for all scenarios. One that restarts something on it is declared alone="cluster".
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay import toolchain
from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.slices import notes
from gpuassay.workloads import containers
from gpuassay.workloads.containers import NODE

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.scenarios.lab import Lab

ANSWER_SECONDS = 5.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def node_of(lab: Lab, name: str = NODE) -> Node:
    """A running real node of the environment."""
    return lab.cluster.real_nodes[name]


@contextmanager
def further_node(lab: Lab, name: str, **options: Any) -> Generator[Node]:
    """One more real node for the length of a `with` block (through the mutant, when there is one).

    Raises:
        gpuassay.waiting.WaitTimeout: it is not Ready in time.
    """
    from gpuassay.cluster.node.real import real_node  # cluster clients: not for replays

    asked: dict[str, Any] = {"name": name, **options}
    with real_node(lab.cluster, **(lab.mutant.change_node(asked) if lab.mutant else asked)) as node:
        yield node


# --- pods ----------------------------------------------------------------------------------------------------------


def pod(lab: Lab, name: str, *steps: Sequence[object], node: str = NODE, **options: Any) -> str:
    """Create a pod on a node (`gpuassay.workloads.containers.pod` has the arguments); returns its name."""
    lab.create(containers.pod(name, lab.namespace, *steps, node=node, **options))
    return name


def phase(lab: Lab, name: str) -> str:
    """The pod's phase, "" where there is no such pod."""
    return str(dig(lab.get("Pod", name) or {}, "status", "phase", default=""))


def running(lab: Lab, *names: str) -> bool:
    """Whether all pods are Running."""
    return all(phase(lab, name) == "Running" for name in names)


def refused(lab: Lab, *names: str) -> bool:
    """Whether the scheduler has said of all pods, as they wait, that there is no room for them."""
    told = [condition(lab.get("Pod", name) or {}, "PodScheduled") for name in names]
    return all(one is not None and one["status"] == "False" for one in told)


def ready(lab: Lab, *names: str) -> bool:
    """Whether all pods have condition Ready."""
    found = [lab.get("Pod", name) for name in names]
    return all(one is not None and is_true(one, "Ready") for one in found)


def ended(lab: Lab, *names: str) -> bool:
    """Whether all pods have ended, well or not."""
    return all(phase(lab, name) in {"Succeeded", "Failed"} for name in names)


def gone(lab: Lab, *names: str) -> bool:
    """Whether there is none of the pods any more."""
    return not any(lab.get("Pod", name) for name in names)


def address(lab: Lab, name: str) -> str:
    """The pod's address, "" before it has one."""
    return str(dig(lab.get("Pod", name) or {}, "status", "podIP", default=""))


def restarts(lab: Lab, name: str) -> int:
    """How often the containers of a pod have been restarted."""
    statuses: list[Manifest] = dig(lab.get("Pod", name) or {}, "status", "containerStatuses", default=[])
    return sum(int(one.get("restartCount", 0)) for one in statuses)


# --- looks from outside ----------------------------------------------------------------------------------------------


def ask(lab: Lab, name: str, path: str = "/", port: int = 8080) -> str | None:
    """Body of the pod's answer to an HTTP request from this machine, None where it does not answer 200."""
    where = address(lab, name)
    if not where:
        return None
    try:
        with _direct.open(f"http://{where}:{port}{path}", timeout=ANSWER_SECONDS) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def kubectl(lab: Lab, *words: str, timeout: float = 30) -> notes.Told:
    """Run kubectl in the scenario's namespace, as a user sees it."""
    program = toolchain.programs("kubectl", lab.cluster.assets).path("kubectl")
    command = [program, f"--kubeconfig={lab.cluster.kubeconfig}", f"--namespace={lab.namespace}", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return notes.Told(None, "", f"not within {timeout:g} s")
    return notes.Told(done.returncode, done.stdout, done.stderr)


def cgroups_of(node: Node, uid: str) -> list[str]:
    """The pod's cgroups that exist on the node, below its own one, as `hierarchy:path`."""
    found: list[str] = []
    for hierarchy in _hierarchies():
        top = hierarchy / node.cgroup
        for folder, names, _ in os.walk(top):
            found += [f"{hierarchy.name}:{Path(folder, one).relative_to(top)}" for one in names if uid in one]
    return sorted(found)


def _hierarchies() -> list[Path]:
    from gpuassay.cluster.node import cgroups

    return [one.at for one in cgroups.hierarchies()]


def addresses_in_use(node: Node) -> list[str]:
    """Addresses that the node's network plugin has given to sandboxes and not taken back."""
    folder = node.paths.at("/var/lib/cni/networks/pods")
    return sorted(one.name for one in folder.iterdir() if one.name[:1].isdigit()) if folder.exists() else []


def processes_in(node: Node, needle: str) -> list[str]:
    """Command lines of the node's processes that hold `needle`."""
    found: list[str] = []
    for entry in node.paths.at("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if needle in words:
                found.append(words.strip())
    return found


# --- restarts --------------------------------------------------------------------------------------------------------


def restart_kubelet(lab: Lab, *, kill: bool = False, node: str = NODE) -> None:
    """Restart a node's kubelet (through the mutant, when there is one); notes how long it was away, in seconds."""
    found = node_of(lab, node)
    begun = time.monotonic()
    found.stop_kubelet(kill=kill)
    if lab.mutant is not None:
        lab.mutant.disturb_node(found)
    found.start_kubelet()
    lab.note(notes.AWAY, round(time.monotonic() - begun, 3))


def restart_containerd(lab: Lab, *, kill: bool = False, node: str = NODE) -> None:
    """Restart a node's containerd (through the mutant, when there is one)."""
    found = node_of(lab, node)
    if lab.mutant is not None:
        lab.mutant.disturb_node(found)
    found.restart_containerd(kill=kill)
