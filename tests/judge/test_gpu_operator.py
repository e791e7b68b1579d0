"""The judges of an installed GPU Operator: nothing to say of a healthy one, and a finding for each way to be ill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.systems.gpu_operator import mutants as mutants_gpu_operator
from gpuassay.systems.gpu_operator.judge import exporter, installed, mig_config, moving, offers, operands
from gpuassay.systems.gpu_operator.judge.objects import Seen as Read
from gpuassay.systems.gpu_operator.judge.objects import labels_of
from tests import operators

Seen = dict[str, list[Manifest]]
Judge = Callable[[Read], list[str]]


@pytest.mark.parametrize(
    ("name", "findings"),
    [
        ("policy-not-ready", installed.policy_findings),
        ("operand-crashes", operands.operand_findings),
        ("operand-outdated", operands.revision_findings),
        ("upgrade-failed", moving.stuck_findings),
        ("gpu-nodes-unknown", installed.unlabelled_findings),
        ("runtime-class-of-runc", installed.runtime_class_findings),
        ("driver-label-stale", installed.version_findings),
        ("capacity-lost", offers.capacity_findings),
        ("slices-outlive-recut", offers.stale_findings),
        ("gpu-unhealthy", offers.unhealthy_findings),
        ("offered-twice", offers.doubled_findings),
        ("mig-success-without-slices", mig_config.applied_findings),
        ("metrics-nameless", exporter.metric_findings),
        ("exporter-tells-one", exporter.coverage_findings),
    ],
)
def test_mutants_are_found(name: str, findings: Judge) -> None:
    """Red when a mutant changes nothing, or its judge does not see what it changed."""
    assert mutants_gpu_operator.__name__
    change = mutants.get(name).change
    assert findings(operators.healthy()) == []
    seen = {kind: [change({**one, "kind": kind}) for one in objects] for kind, objects in operators.healthy().items()}
    assert findings(seen) != []


def _without(seen: Seen, kind: str, app: str) -> Seen:
    return {**seen, kind: [one for one in seen[kind] if labels_of(one).get("app") != app]}


def test_a_disabled_operand_is_not_missed() -> None:
    """Red when an operand that ClusterPolicy does not want is asked for; or one that it wants is not."""
    app = "nvidia-dcgm-exporter"
    seen = _without(_without(operators.healthy(), "Pod", app), "DaemonSet", app)
    assert operands.operand_findings(seen) != []
    seen["ClusterPolicy"][0]["spec"]["dcgmExporter"] = {"enabled": False}
    assert operands.operand_findings(seen) == []


def test_a_second_policy_that_is_ignored_does_not_count() -> None:
    """Red when an ignored ClusterPolicy counts, or two that count pass."""
    seen = operators.healthy()
    seen["ClusterPolicy"].append(operators.policy("ignored"))
    seen["ClusterPolicy"][1]["metadata"]["name"] = "other"
    assert installed.policy_findings(seen) == []
    seen["ClusterPolicy"][1]["status"]["state"] = "ready"
    assert installed.policy_findings(seen) != []


def test_capacity_counts_replicas_and_slices() -> None:
    """Red when shared GPUs or slices under the strategy mixed are counted wrongly."""
    seen = operators.healthy()
    labels: dict[str, Any] = seen["Node"][0]["metadata"]["labels"]
    labels["nvidia.com/gpu.replicas"] = "4"
    assert offers.capacity_findings(seen) == ["node gpu-a: labels count 32 of nvidia.com/gpu, its capacity is 8"]
    seen["Node"][0]["status"]["capacity"] = {"nvidia.com/gpu.shared": "32"}
    assert offers.capacity_findings(seen) == []
    labels |= {"nvidia.com/mig.strategy": "mixed", "nvidia.com/gpu.replicas": "0", "nvidia.com/mig-1g.5gb.count": "3"}
    seen["Node"][0]["status"]["capacity"] = {"nvidia.com/mig-1g.5gb": "2"}
    assert offers.capacity_findings(seen) == ["node gpu-a: labels count 3 of nvidia.com/mig-1g.5gb, its capacity is 2"]


def test_another_driver_than_asked_is_found() -> None:
    """Red when ClusterPolicy's driver is another than the nodes', unless the hosts bring theirs."""
    seen = operators.healthy() | {"ClusterPolicy": [operators.policy(version="550.54.15")]}
    assert installed.version_findings(seen) != []
    seen["ClusterPolicy"][0]["spec"]["driver"]["enabled"] = False
    assert installed.version_findings(seen) == []


def test_slices_have_no_utilisation() -> None:
    """Red when the utilisation that DCGM does not tell of slices is missed, or that of whole GPUs is not."""
    seen = operators.healthy()
    for one in seen["Metrics"]:
        one["text"] = one["text"].replace("DCGM_FI_DEV_GPU_UTIL", "OTHER")
    assert len(exporter.metric_findings(seen)) == len(operators.NODES)
    for one in seen["Node"]:
        one["metadata"]["labels"]["nvidia.com/mig-1g.5gb.count"] = "7"
    assert exporter.metric_findings(seen) == []


def test_an_exporter_that_does_not_answer_is_found() -> None:
    """Red when an exporter that tells nothing passes."""
    seen = operators.healthy()
    seen["Metrics"][0] |= {"text": "", "error": "503"}
    assert exporter.metric_findings(seen) == ["DCGM exporter of node gpu-a tells nothing: 503"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '_GPU_TEMP{gpu="0",UUID="GPU-1",modelName="NVIDIA A100"} 1',
            "_GPU_TEMP 1",
            "without label UUID, gpu, modelName",
        ),
        ('UUID="GPU-1"', 'UUID=""', "without label UUID"),
        ('A100"} 1', 'A100"} 2147483632', "DCGM_FI_DEV_FB_FREE of GPU GPU-1 has no value: 2147483632 is DCGM's blank"),
        ('A100"} 1', 'A100"} 9223372036854775794', "is DCGM's blank"),
        ('A100"} 1', 'A100"} 140737488355328', "140737488355328 is DCGM's blank"),
        ('A100"} 1', 'A100"} NaN', "nan is no number"),
        ('A100"} 1', 'A100"} 101.5', "DCGM_FI_DEV_GPU_UTIL of GPU GPU-1 has no value: 101.5 is no percentage"),
    ],
)
def test_a_sample_without_a_value_is_found(old: str, new: str, words: str) -> None:
    """Red when DCGM's blank passes for a measured value, or an empty label for one that says whose it is."""
    seen = operators.healthy()
    seen["Metrics"][0]["text"] = seen["Metrics"][0]["text"].replace(old, new)
    found = exporter.metric_findings(seen)
    assert any(words in one for one in found) and all(one.startswith("node gpu-a: ") for one in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<html><title>Sign in</title></html>", "an HTML page ('Sign in')"),
        ("404 page not found", "no Prometheus metrics"),
        ("", "the page is empty"),
        (operators.METRICS[:-20], "line 40: the labels have no end"),
        ("go_goroutines 5\n", "no sample of DCGM_FI_DEV_FB_FREE"),
    ],
)
def test_a_page_that_is_none_is_said_to_be_none(text: str, words: str) -> None:
    """Red when a login page or a cut one reads as five fields that are missing."""
    seen = operators.healthy()
    seen["Metrics"][0]["text"] = text
    found = exporter.metric_findings(seen)
    assert words in found[0] and (len(found) == 1 or "go_" in text)
