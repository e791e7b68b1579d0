"""The judge of what pods see of GPUs: content with the one slice that was asked for, a finding for all else."""

from __future__ import annotations

import msgspec
import pytest

from gpuassay.systems.gpu_operator.judge.probes import Probe, given_findings, profile_of, undecided

CARD = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-3a3b)\n"
SEVENTH = "  MIG 1g.5gb      Device  0: (UUID: MIG-11)\n"
GIVEN = Probe("gpu-a", "nvidia.com/mig-1g.5gb", "1g.5gb", "Succeeded", CARD + SEVENTH)


def _with(**changes: str) -> list[Probe]:
    return [msgspec.structs.replace(GIVEN, **changes)]


@pytest.mark.parametrize(
    "probes",
    [
        [GIVEN],
        _with(profile="1g.5gb+me", text=CARD + SEVENTH.replace("1g.5gb ", "1g.5gb+me ")),
        _with(profile="", text=CARD),
    ],
)
def test_what_was_asked_for_is_right(probes: list[Probe]) -> None:
    """Red when the slice, or the whole GPU, that was asked for is a finding."""
    assert given_findings(probes) == [] and not undecided(probes)


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        (_with(text=CARD + SEVENTH.replace("1g.5gb", "2g.10gb")), "it sees 2g.10gb, expected 1g.5gb"),
        (_with(text=CARD + SEVENTH + SEVENTH), "it sees 1g.5gb, 1g.5gb, expected 1g.5gb"),
        (_with(text=CARD), "it sees 1 whole GPUs, expected 1g.5gb"),
        (_with(profile="", text=CARD + SEVENTH), "it sees 1g.5gb, expected one whole GPU"),
        (_with(profile="", text=CARD + CARD), "it sees 2 whole GPUs"),
        (_with(text="No devices found.\n"), "lists no device: No devices found."),
        (_with(text=""), "lists no device: nothing at all"),
        (_with(phase="Failed", text="", why="StartError"), "nvidia-smi -L could not be run: StartError"),
    ],
)
def test_all_else_is_a_finding(probes: list[Probe], words: str) -> None:
    """Red when a pod without its slice, with another's, or with more than one passes."""
    (found,) = given_findings(probes)
    assert found.startswith("node gpu-a, a pod with one nvidia.com/mig-1g.5gb: ") and words in found


def test_pods_that_found_no_place_decide_nothing() -> None:
    """Red when slices that are all in use refute anything, or pass for slices that were given."""
    waiting = _with(phase="Pending", text="", why="Unschedulable: Insufficient nvidia.com/mig-1g.5gb")
    assert given_findings(waiting) == [] and "Insufficient" in undecided(waiting)
    assert undecided([*waiting, GIVEN]) == ""
    assert "no node that is cut offers any" in undecided([])


@pytest.mark.parametrize(
    ("resource", "product", "profile"),
    [
        ("nvidia.com/mig-1g.5gb", "NVIDIA-A100-SXM4-40GB", "1g.5gb"),
        ("nvidia.com/mig-1g.5gb.me", "NVIDIA-A100-SXM4-40GB", "1g.5gb+me"),
        ("nvidia.com/mig-1g.5gb.shared", "NVIDIA-A100-SXM4-40GB", "1g.5gb"),
        ("nvidia.com/gpu", "NVIDIA-A100-SXM4-40GB-MIG-3g.20gb", "3g.20gb"),
        ("nvidia.com/gpu", "NVIDIA-A100-SXM4-40GB-MIG-3g.20gb-SHARED", "3g.20gb"),
        ("nvidia.com/gpu", "NVIDIA-A100-SXM4-40GB", ""),
    ],
)
def test_what_a_resource_stands_for(resource: str, product: str, profile: str) -> None:
    """Red when a pod's slice is compared with another profile than it asked for."""
    assert profile_of(resource, product) == profile
