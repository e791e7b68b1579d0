"""Broken systems of what the GPU Operator does: labels that go wrong, and configurations that do not arrive."""

from __future__ import annotations

import json
import re
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
        obj["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}


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


@mutant("metrics-nameless", "samples of GPUs do not say of which GPU they are")
def _metrics_nameless(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        obj["text"] = obj["text"].replace("UUID=", "nothing=")


@mutant("utilisation-lost", "GPUs are told to be idle, whatever runs on them")
def _utilisation_lost(obj: Manifest) -> None:
    if obj["kind"] == "Metrics":
        obj["text"] = re.sub(r"(?m)^(DCGM_FI_(?:DEV_GPU_UTIL|PROF_GR_ENGINE_ACTIVE)\{.*\}) .*$", r"\1 0", obj["text"])
