"""What must hold of slices in every recording: each kind of violation is found, whoever asks."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.session import invariants
from gpuassay.systems.slices.judge import observed
from gpuassay.systems.slices.readings import SlicesRecording
from tests.judge.test_slices_rest import A, B, made, pod, recording, row

MADE = [*made(1, 0, A), *made(2, 4, B)]


def found(silicon: list[Manifest], held: dict[str, str]) -> list[str]:
    """Findings where pods run from second 5 on and say what they hold."""
    seen = [pod(name, 5, "Running") for name in held]
    told = {name: {"main": [uuid]} for name, uuid in held.items()}
    one = recording("device-plugin", held=told, events=seen, silicon=silicon)
    one.system = "slices"
    return invariants.untimed(one)


@pytest.mark.parametrize(
    ("silicon", "held", "words"),
    [
        (MADE, {"p": A, "q": A}, A),
        ([*MADE, row(9, observed.DESTROYED, 0)], {"p": A}, f"pod p lost {A} while it ran"),
        (MADE, {"p": "MIG-c"}, "pod p ran on MIG-c, which did not exist then"),
        ([*MADE, *made(3, 0, "MIG-d")], {}, "3g.20gb"),
    ],
)
def test_each_kind_of_violation_is_found(silicon: list[Manifest], held: dict[str, str], words: str) -> None:
    """Red when an invariant of slices is only looked at where a test calls it, or finds nothing."""
    assert [one for one in found(silicon, held) if words in one], found(silicon, held)


@pytest.mark.parametrize("held", [{"p": A, "q": B}, {"p": "GPU-1"}, {}])
def test_what_is_lawful_is_not_reported(held: dict[str, str]) -> None:
    """Red when slices of two pods, or a whole GPU, are taken for a violation."""
    assert found(MADE, held) == []


def test_a_recording_without_gpus_of_ours_is_left_alone() -> None:
    """Red when a scenario of another kind ends as an error."""
    one = SlicesRecording.of_parts(RecordingMeta(scenario="s"))
    one.system = "slices"
    assert invariants.untimed(one) == []
