"""Broken systems of what the GPU Operator does: labels that go wrong, and configurations that do not arrive."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant, patch_mutant

_PREFIX = "nvidia.com/"


def _labels(kind: str, body: Manifest) -> dict[str, Any]:
    return dig(body, "metadata", "labels", default={}) if kind == "Node" else {}


def _replace(kind: str, body: Manifest, ending: str, value: str) -> None:
    labels = _labels(kind, body)
    for key in labels:
        if key.startswith(_PREFIX) and key.endswith(ending) and labels[key] is not None:
            labels[key] = value


@patch_mutant("labels-of-another-gpu", "nodes are labelled with another product")
def _another_gpu(kind: str, body: Manifest) -> None:
    _replace(kind, body, ".product", "NVIDIA-T4")


@patch_mutant("labels-of-another-driver", "nodes are labelled with another driver version")
def _another_driver(kind: str, body: Manifest) -> None:
    _replace(kind, body, "cuda.driver-version.full", "470.1.1")


@patch_mutant("labels-of-half-the-memory", "nodes are labelled with too little memory")
def _half_memory(kind: str, body: Manifest) -> None:
    _replace(kind, body, ".memory", "1")


@patch_mutant("labels-stay", "labels of GPUs and slices that are gone stay on the node")
def _labels_stay(kind: str, body: Manifest) -> None:
    labels = _labels(kind, body)
    for key in [key for key, value in labels.items() if value is None]:
        del labels[key]


@patch_mutant("config-label-lost", "nodes never get the label that chooses a configuration")
def _choice_lost(kind: str, body: Manifest) -> None:
    _labels(kind, body).pop(f"{_PREFIX}device-plugin.config", None)


@patch_mutant("mig-config-lost", "nodes never get the label that chooses how they are cut")
def _mig_config_lost(kind: str, body: Manifest) -> None:
    _labels(kind, body).pop(f"{_PREFIX}mig.config", None)


def _each_config(obj: Manifest, change: Callable[[dict[str, Any]], None]) -> None:
    if obj["kind"] == "ConfigMap":
        for name, text in obj["data"].items():
            config = json.loads(text)
            change(config)
            obj["data"][name] = json.dumps(config)


@mutant("mig-strategy-lost", "the device plugin offers whole GPUs, whatever MIG strategy is configured")
def _strategy_lost(obj: Manifest) -> None:
    _each_config(obj, lambda config: config.pop("flags", None))


@mutant("mig-strategy-always-mixed", "the device plugin follows the strategy mixed, whatever is configured")
def _always_mixed(obj: Manifest) -> None:
    _each_config(obj, lambda config: config.update(flags={"migStrategy": "mixed"}))


@mutant("sharing-lost", "no GPU is shared, whatever is configured")
def _sharing_lost(obj: Manifest) -> None:
    _each_config(obj, lambda config: config.pop("sharing", None))


def _slicing_option_lost(config: dict[str, Any], option: str) -> None:
    dig(config, "sharing", "timeSlicing", default={}).pop(option, None)


@mutant("sharing-rename-lost", "shared GPUs keep the name of whole ones")
def _rename_lost(obj: Manifest) -> None:
    _each_config(obj, lambda config: _slicing_option_lost(config, "renameByDefault"))


@mutant("sharing-refusal-lost", "a pod gets as many shares of shared GPUs as it asks for")
def _refusal_lost(obj: Manifest) -> None:
    _each_config(obj, lambda config: _slicing_option_lost(config, "failRequestsGreaterThanOne"))


# --- of a GPU Operator that is not ours: what is read of it


@mutant("policy-not-ready", "the GPU Operator never gets ready")
def _policy_not_ready(obj: Manifest) -> None:
    if obj["kind"] == "ClusterPolicy":
        obj["status"] = {"state": "notReady"}


@mutant("operand-crashes", "pods of the device plugin are not ready")
def _operand_crashes(obj: Manifest) -> None:
    if obj["kind"] == "Pod" and dig(obj, "metadata", "labels", "app") == "nvidia-device-plugin-daemonset":
        waiting = {"name": "main", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        conditions = [{"type": "Ready", "status": "False"}]
        obj["status"] = {"phase": "Running", "conditions": conditions, "containerStatuses": [waiting]}


@mutant("gpu-nodes-unknown", "no node is found to have a GPU")
def _nodes_unknown(obj: Manifest) -> None:
    if obj["kind"] == "Node":
        dig(obj, "metadata", "labels", default={}).pop(f"{_PREFIX}gpu.present", None)


@mutant("runtime-class-of-runc", "RuntimeClasses run containers without NVIDIA's runtime")
def _runtime_class_of_runc(obj: Manifest) -> None:
    if obj["kind"] == "RuntimeClass":
        obj["handler"] = "runc"


@mutant("driver-label-stale", "nodes keep the label of the driver that they had before")
def _driver_label_stale(obj: Manifest) -> None:
    if obj["kind"] == "Node":
        dig(obj, "metadata", "labels", default={})[f"{_PREFIX}cuda.driver-version.full"] = "470.1.1"


@mutant("capacity-lost", "nodes have no capacity for the GPUs that they are labelled with")
def _capacity_lost(obj: Manifest) -> None:
    if obj["kind"] == "Node" and "status" in obj:
        capacity = obj["status"].get("capacity", {})
        obj["status"]["capacity"] = {name: "0" if name.startswith(_PREFIX) else capacity[name] for name in capacity}


@mutant("operand-outdated", "pods of the device plugin are not replaced when it is updated")
def _operand_outdated(obj: Manifest) -> None:
    if obj["kind"] == "Pod" and dig(obj, "metadata", "labels", "app") == "nvidia-device-plugin-daemonset":
        obj["metadata"]["labels"]["controller-revision-hash"] = "old"
    if obj["kind"] == "DaemonSet" and dig(obj, "metadata", "labels", "app") == "nvidia-device-plugin-daemonset":
        obj["status"] = dig(obj, "status", default={}) | {"updatedNumberScheduled": 0}


@mutant("operand-restarts", "containers of the device plugin start anew all the time")
def _operand_restarts(obj: Manifest) -> None:
    if obj["kind"] == "Pod" and dig(obj, "metadata", "labels", "app") == "nvidia-device-plugin-daemonset":
        obj["status"]["containerStatuses"] = [{"name": "main", "ready": True, "restartCount": time.monotonic_ns()}]


@mutant("upgrade-failed", "the upgrade of a driver has failed on every node")
def _upgrade_failed(obj: Manifest) -> None:
    if obj["kind"] == "Node":
        dig(obj, "metadata", "labels", default={})[f"{_PREFIX}gpu-driver-upgrade-state"] = "upgrade-failed"


@mutant("gpu-unhealthy", "one GPU of each node is not healthy")
def _gpu_unhealthy(obj: Manifest) -> None:
    if obj["kind"] == "Node":
        allocatable: dict[str, str] = dig(obj, "status", "allocatable", default={})
        for name, count in allocatable.items():
            if name.startswith(_PREFIX) and count != "0":
                allocatable[name] = str(int(count) - 1)


@mutant("slices-outlive-recut", "slices of a former MIG configuration are offered still")
def _slices_outlive(obj: Manifest) -> None:
    if obj["kind"] == "Node" and "status" in obj:
        for field in ("capacity", "allocatable"):
            obj["status"].setdefault(field, {})[f"{_PREFIX}mig-3g.20gb"] = "2"


@mutant("mig-success-without-slices", "the MIG manager tells success and has not cut anything")
def _mig_success_without_slices(obj: Manifest) -> None:
    if obj["kind"] == "Node":
        chosen = {"mig.config": "all-1g.5gb", "mig.config.state": "success", "mig.strategy": "mixed"}
        dig(obj, "metadata", "labels", default={}).update({f"{_PREFIX}{key}": one for key, one in chosen.items()})


@mutant("slice-of-another-profile", "pods are given a slice of another profile than they asked for")
def _slice_of_another_profile(obj: Manifest) -> None:
    if obj["kind"] == "Probe":
        obj["text"] = re.sub(r"MIG \S+", "MIG 7g.80gb", obj["text"])


@mutant("offered-twice", "GPUs are offered by the device plugin and by DAS at once")
def _offered_twice(obj: Manifest) -> None:
    if obj["kind"] == "Node" and "status" in obj:
        obj["status"].setdefault("allocatable", {})["mig.das.com/1g.5gb"] = "7"


@mutant("exporter-tells-one", "DCGM exporter tells of one GPU alone")
def _exporter_tells_one(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        lines = obj["text"].splitlines(keepends=True)
        first = next((found[1] for line in lines if (found := re.search(r'UUID="([^"]*)"', line))), "")
        obj["text"] = "".join(line for line in lines if f'"{first}"' in line or "UUID" not in line)


@mutant("metrics-nameless", "samples of GPUs do not say of which GPU they are")
def _metrics_nameless(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        obj["text"] = obj["text"].replace("UUID=", "nothing=")


@mutant("metrics-of-nobody", "samples of GPUs do not say which pod holds them")
def _metrics_of_nobody(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        obj["text"] = re.sub(r'(?:exported_)?pod="[^"]*"', 'nobody=""', obj["text"])


@mutant("utilisation-lost", "GPUs are told to be idle, whatever runs on them")
def _utilisation_lost(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        obj["text"] = re.sub(r"(?m)^(DCGM_FI_(?:DEV_GPU_UTIL|PROF_GR_ENGINE_ACTIVE)\{.*\}) .*$", r"\1 0", obj["text"])
