"""Whether a cluster's GPU Operator says that it is ready, and has left what it should: RuntimeClasses, versions.

Sources: NVIDIA GPU Operator's documentation (ClusterPolicy, GPUCluster, NVIDIADriver, node labels).
What must never pass is "all of none": a check that finds nothing to look at is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.gpu_operator.judge.moving import settled
from gpuassay.systems.gpu_operator.judge.objects import (
    DRIVER,
    FOUND_BY_NFD,
    PREFIX,
    PRESENT,
    Seen,
    by_dra,
    facts,
    for_containers,
    gpu_nodes,
    labels_of,
    name_of,
    node_of,
    pods_of,
    policies,
    sets_of,
)


def policy_findings(seen: Seen) -> list[str]:
    """There is one ClusterPolicy or one GPUCluster, and it is ready, as is every NVIDIADriver that is in use.

    ClusterPolicies that the operator ignores do not count. Both kinds at once hold each other up.
    """
    counted, clusters = policies(seen), facts(seen, "GPUCluster")
    if counted and clusters:
        return [f"ClusterPolicy {name_of(counted[0])} and GPUCluster {name_of(clusters[0])} exclude each other"]
    if len(counted) + len(clusters) != 1:
        names = ", ".join(name_of(one) for one in counted) or "none"
        return [f"{len(counted)} ClusterPolicies count, expected one (or a GPUCluster): {names}"]
    found = list(_state_findings("ClusterPolicy" if counted else "GPUCluster", (counted or clusters)[0]))
    if _by_resources(seen):
        drivers = [one for one in facts(seen, "NVIDIADriver") if dig(one, "status", "state") != "ignored"]
        found += [text for one in drivers for text in _state_findings("NVIDIADriver", one)]
    return found


def _state_findings(kind: str, one: Manifest) -> Iterator[str]:
    state, error = dig(one, "status", "state"), condition(one, "Error") or {}
    said = " ".join(str(error.get("message", "")).split())[:300] if error.get("status") == "True" else ""
    why = f": {said}" if said else ""
    if state != "ready":
        yield f"{kind} {name_of(one)} is {state or 'without state'}, expected ready{why}"
    elif (condition(one, "Ready") and not is_true(one, "Ready")) or said:
        yield f"{kind} {name_of(one)} is ready, and its conditions deny it{why}"


def _by_resources(seen: Seen) -> bool:
    """Whether drivers are installed as NVIDIADriver resources say, not as ClusterPolicy does."""
    by_policy = [bool(dig(one, "spec", "driver", "useNvidiaDriverCRD", default=False)) for one in policies(seen)]
    return by_dra(seen) or any(by_policy)


def unlabelled_findings(seen: Seen) -> list[str]:
    """Nodes with GPUs are labelled as such: one at least, and all in which Node Feature Discovery has found one."""
    found = [] if gpu_nodes(seen) else [f"no node has the label {PRESENT}=true"]
    return found + [
        f"node {name_of(one)} has a GPU by label {label}, and no label {PRESENT}"
        for one in facts(seen, "Node") if PRESENT not in labels_of(one)
        for label in FOUND_BY_NFD if labels_of(one).get(label) == "true"
    ]  # fmt: skip


def runtime_class_findings(seen: Seen) -> list[str]:
    """The operator's RuntimeClass exists, and every one of NVIDIA's names the handler of its own name.

    There is none by right with a GPUCluster, nor where the NRI plugin gives containers their devices.
    """
    handlers = {name_of(one): one.get("handler") for one in facts(seen, "RuntimeClass")}
    wanted = runtime_class(seen)
    found = [] if not wanted or wanted in handlers else [f"there is no RuntimeClass {wanted}"]
    return found + [
        f"RuntimeClass {name} has handler {handler}"
        for name, handler in sorted(handlers.items())
        if (name.split("-")[0] == "nvidia" or name == wanted) and handler != name
    ]


def runtime_class(seen: Seen) -> str:
    """The RuntimeClass that the operator makes, `nvidia` by default; "" where it makes none."""
    if by_dra(seen):
        return ""
    spec: Manifest = next((dig(one, "spec", default={}) for one in policies(seen)), Manifest())
    by_nri = bool(dig(spec, "cdi", "nriPluginEnabled", default=False))
    return "" if by_nri else str(dig(spec, "operator", "runtimeClass", default="") or "nvidia")


def version_findings(seen: Seen) -> list[str]:
    """On every GPU node labels of driver and CUDA agree with each other, and with the driver that is asked for.

    A branch, such as 570 with precompiled drivers, stands for every driver of it. What is asked for is ClusterPolicy's
    to say, or that NVIDIADriver's whose pod runs on the node.
    """
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    judged = [one for one in settled(seen) if for_containers(one)]
    return [f"node {name_of(one)}: {text}" for one in judged for text in _versions(labels_of(one), _asked(seen, one))]


def versions_told(seen: Seen) -> bool:
    """Whether any node has versions in its labels, which GPU feature discovery puts there."""
    return any(f"{PREFIX}cuda.driver-version.full" in labels_of(one) for one in gpu_nodes(seen))


def _asked(seen: Seen, node: Manifest) -> tuple[str, bool]:
    """The driver that a node should have, "" where nothing says it, and whether any of that branch will do."""
    if not _by_resources(seen):
        specs: Sequence[Manifest] = [dig(one, "spec", "driver", default={}) for one in policies(seen)]
    else:
        owners = {
            str(owner.get("name"))
            for one in sets_of(seen, DRIVER)
            if any(node_of(pod) == name_of(node) for pod in pods_of(seen, one))
            for owner in dig(one, "metadata", "ownerReferences", default=[])
        }
        specs = [dig(one, "spec", default={}) for one in facts(seen, "NVIDIADriver") if name_of(one) in owners]
    for spec in specs:
        if spec.get("enabled", True) is not False:
            return str(spec.get("version") or ""), bool(spec.get("usePrecompiled", False))
    return "", False


def _versions(labels: Mapping[str, str], asked: tuple[str, bool]) -> list[str]:
    found: list[str] = []
    for what, parts, old in (
        ("driver", ("major", "minor", "revision"), ("major", "minor", "rev")),
        ("runtime", ("major", "minor"), ("major", "minor")),
    ):
        stem = f"{PREFIX}cuda.{what}-version"
        full = labels.get(f"{stem}.full", "")
        if not full:
            found.append(f"no label {stem}.full")
            continue
        told = [labels.get(f"{stem}.{part}", "") for part in parts]
        deprecated = [labels.get(f"{PREFIX}cuda.{what}.{part}", "") for part in old]
        for spelling, values in (("", told), ("deprecated ", deprecated)):
            if any(values) and ".".join(one for one in values if one) != full:
                found.append(f"{spelling}{what} version labels give {'.'.join(values)}, the whole is {full}")
    driver = labels.get(f"{PREFIX}cuda.driver-version.full", "")
    if driver and not _is_asked(driver, *asked):
        found.append(f"the driver is {driver}, {asked[0]} is asked for")
    return found


def _is_asked(driver: str, asked: str, branch: bool) -> bool:
    """Whether a driver is what is asked for: a version, perhaps with an operating system behind it, or a branch."""
    version = asked.split("-")[0]
    if not version or ":" in version:  # a digest says nothing of its version
        return True
    return driver == version or (branch and driver.startswith(f"{version}."))
