"""Mutants of labels and configurations: each changes what it says, and the oracle of labels sees it."""

from __future__ import annotations

import json

import pytest

from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.systems.slices.acts.operator_node import CHOICE, mig_config, time_slicing
from gpuassay.systems.slices.judge import gpu_labels
from gpuassay.systems.slices.judge.gpu_labels import GPU, Gpus, Sharing

GPUS = Gpus(gpu_model("a100-40gb"), 1, (("1g.5gb", "3g.20gb"),))
RIGHT = gpu_labels.gpu_labels(GPUS, "mixed") | gpu_labels.version_labels("550.54.15", 12040)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("labels-of-another-gpu", ("gpu.product", "mig-")),
        ("labels-of-another-driver", ("cuda.driver-version.full",)),
        ("labels-of-half-the-memory", ("gpu.memory", "mig-")),
    ],
)
def test_wrong_labels_are_found(name: str, parts: tuple[str, ...]) -> None:
    """Red when the mutant leaves the labels as they are, or changes others than it says."""
    patch = {"metadata": {"labels": dict(RIGHT)}}
    changed: dict[str, str] = mutants.get(name).change_patch("Node", patch)["metadata"]["labels"]
    assert gpu_labels.label_findings(changed, RIGHT, parts=parts) != []
    others = {key for key in RIGHT if not key.removeprefix("nvidia.com/").startswith(parts)}
    assert {key: changed[key] for key in others} == {key: RIGHT[key] for key in others}


def test_labels_that_stay_are_not_removed() -> None:
    """Red when the mutant removes labels as it should not, or loses new ones."""
    patch = {"metadata": {"labels": {"nvidia.com/mig-1g.5gb.count": None, "nvidia.com/gpu.count": "1"}}}
    assert mutants.get("labels-stay").change_patch("Node", patch) == {
        "metadata": {"labels": {"nvidia.com/gpu.count": "1"}}
    }


@pytest.mark.parametrize(
    ("name", "label"), [("config-label-lost", CHOICE), ("mig-config-lost", "nvidia.com/mig.config")]
)
def test_a_lost_choice(name: str, label: str) -> None:
    """Red when the mutant lets the choice pass, or takes more than it."""
    patch = {"metadata": {"labels": {label: "shared", "other": "x"}}}
    assert mutants.get(name).change_patch("Node", patch) == {"metadata": {"labels": {"other": "x"}}}


def _config(name: str) -> Manifest:
    sharing = time_slicing(GPU, 3, renameByDefault=True, failRequestsGreaterThanOne=True)
    text = json.dumps(mig_config("single", sharing=sharing))
    obj: Manifest = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"one": text, "empty": "{}"}}
    return json.loads(mutants.get(name).change(obj)["data"]["one"])


@pytest.mark.parametrize(
    ("name", "key", "lost"),
    [
        ("mig-strategy-lost", "flags", ""),
        ("sharing-lost", "sharing", ""),
        ("sharing-rename-lost", "", "renameByDefault"),
        ("sharing-refusal-lost", "", "failRequestsGreaterThanOne"),
    ],
)
def test_what_a_configuration_loses(name: str, key: str, lost: str) -> None:
    """Red when the mutant of a configuration loses nothing, or more than it says."""
    config = _config(name)
    assert set(config) == {"flags", "sharing"} - {key}
    options = {"renameByDefault", "failRequestsGreaterThanOne", "resources"}
    if "sharing" in config:
        assert set(config["sharing"]["timeSlicing"]) == options - {lost}


def test_the_strategy_is_always_mixed() -> None:
    """Red when the mutant leaves another strategy."""
    assert _config("mig-strategy-always-mixed")["flags"] == {"migStrategy": "mixed"}


def test_lost_sharing_shows_in_what_is_offered() -> None:
    """Red when an unshared node offers what a shared one should."""
    whole = Gpus(gpu_model("a100-40gb"), 2)
    assert gpu_labels.offers(whole, "none") != gpu_labels.offers(whole, "none", Sharing(GPU, 3))
