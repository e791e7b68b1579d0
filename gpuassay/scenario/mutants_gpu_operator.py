"""Broken systems of what the GPU Operator does: labels that go wrong, and configurations that do not arrive."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.scenario.mutants import mutant, patch_mutant

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
