"""How the words of containers with devices of the example driver become notes."""

from __future__ import annotations

from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.systems.slices.acts.example_driver import NodeWithDriver
from tests.noting import Noting

UID = "91ab7d75-6240-4d6b-929c-791245db44df"
GIVEN = f"""
GPU_DEVICE_1=gpu-1
GPU_DEVICE_1_RESOURCE_CLAIM={UID}
GPU_DEVICE_1_SHARING_STRATEGY=TimeSlicing
GPU_DEVICE_1_TIMESLICE_INTERVAL=Default
"""
DEVICES = "fd\nnull\nzero\n.\n"


class Spoken(NodeWithDriver):
    """A site whose one container has said something."""

    def __init__(self, said: str) -> None:
        self.said = said
        lab: Any = Noting()
        self.lab = lab

    def words(self, pod: str, container: str = "main") -> str:
        """What was said."""
        return self.said


def notes(said: str) -> Manifest:
    """What is noted of such a container."""
    site = Spoken(said)
    site.identify("a")
    return site.lab.notes


def test_a_device_is_its_name_and_its_claim() -> None:
    """Red when a setting of a device passes for a device, or its claim is lost."""
    seen = notes(GIVEN + DEVICES)
    assert seen == {"held": {"a": {"main": ["gpu-1"]}}, "claims": {"a": {"gpu-1": UID}}, "gpus_seen": {"a": []}}


def test_whatever_looks_like_a_gpu_is_noted() -> None:
    """Red when a device node or a variable of a GPU escapes."""
    assert notes(f"{GIVEN}NVIDIA_VISIBLE_DEVICES=all\n{DEVICES}")["gpus_seen"]["a"] == ["NVIDIA_VISIBLE_DEVICES=all"]
    assert notes(GIVEN + "dri\nnvidia0\n" + DEVICES)["gpus_seen"]["a"] == ["dri", "nvidia0"]


def test_a_container_that_was_given_nothing_holds_nothing() -> None:
    """Red when silence passes for a device."""
    assert notes("\n" + DEVICES)["held"] == {"a": {"main": []}}
