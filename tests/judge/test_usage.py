"""Usage summed over events: a moment of too much must not get lost between two quiet ones."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge import usage
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from tests.judge.test_invariants import FULL, events, workload

KEY = ("cq", "gpu", GPU)


def recording(*objects: Manifest, gone: str = "") -> KueueRecording:
    """A recording of these versions; the last event of `gone` is its deletion."""
    lines = events(*objects)
    if gone:
        last = [line for line in lines if line["object"]["metadata"]["name"] == gone][-1]
        last["type"] = "DELETED"
    return KueueRecording.of_parts(RecordingMeta(scenario="t"), events=lines)


def test_the_peak_is_seen_between_two_quiet_moments() -> None:
    """Red when only the beginning and the end are looked at."""
    seen = recording(workload("a", *FULL, gpus=2), workload("b", *FULL), workload("a", *FULL, "Finished", gpus=2))
    assert usage.peaks(seen) == {KEY: 3}
    assert [held.get(KEY) for _, _, held in usage.steps(seen)] == [2, 3, 1]


def test_a_deleted_workload_holds_nothing() -> None:
    """Red when quota of a deleted Workload still counts, or counts before it was taken."""
    seen = recording(workload("a", *FULL), workload("a", *FULL), workload("b", *FULL), gone="a")
    assert usage.peaks(seen) == {KEY: 1}
    assert usage.peaks(recording(workload("a"))) == {}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=20))
def test_the_peak_is_the_largest_sum(changes: list[tuple[str, bool]]) -> None:
    """Red when the peak differs from a recount after every change."""
    held: dict[str, bool] = {}
    most = 0
    for name, reserved in changes:
        held[name] = reserved
        most = max(most, sum(held.values()))
    seen = recording(*(workload(name, *(FULL if reserved else ())) for name, reserved in changes))
    assert usage.peaks(seen).get(KEY, Fraction()) == most


def test_reported_peaks_come_from_the_status() -> None:
    """Red when what a ClusterQueue reports is not read, or its largest report is forgotten."""

    def report(total: str) -> Manifest:
        status = {"flavorsReservation": [{"name": "gpu", "resources": [{"name": GPU, "total": total}]}]}
        return kueue.cluster_queue("cq", [kueue.gpu_group("gpu", 2)]) | {"status": status}

    assert usage.reported_peaks(recording(report("1"), report("4"), report("0"))) == {KEY: 4}


def test_the_ledger_names_what_was_held() -> None:
    """Red when a failed assertion cannot show who held what."""
    told = usage.ledger(recording(workload("a", *FULL), workload("a", *FULL, "Finished")))
    assert "a: held 1 nvidia.com/gpu of gpu" in told and "a: held nothing" in told
