from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuassay.commands.calibrate import BadRuns, collect
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.stats import thresholds
from gpuassay.stats.thresholds import BadThresholds
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.verdict import Inconclusive

COMMITTED = Path(__file__).parents[3] / "suites" / "kueue" / "performance" / "thresholds.json"
MACHINE: Manifest = {
    "fingerprint": "abc", "cpus": 2, "cpu_model": "some", "memory_bytes": 1, "kernel": "6.1", "python": "3.11",
}  # fmt: skip


def _recording(share: float | None) -> KueueRecording:
    return KueueRecording.of_parts(RecordingMeta("one", pressure={"cpu_stall_share": share}))


def _file(folder: Path) -> Path:
    path = folder / "thresholds.json"
    limit = {"value": 0.5, "unit": "share", "why": "a test"}
    path.write_text(json.dumps({"limits": {"cpu_stall_share": limit}, "machine": None, "figures": {}}))
    return path


def test_the_committed_limits_are_what_the_suite_asks_for_and_say_why() -> None:
    known = thresholds.load(COMMITTED)
    assert 0 < known.limit("cpu_stall_share") <= 1
    entries = json.loads(COMMITTED.read_text())["limits"].values()
    assert all(entry["why"] and entry["unit"] for entry in entries)


def test_an_unknown_limit_is_named() -> None:
    with pytest.raises(BadThresholds, match=r"no limit 'speed'; there are batch_high_s"):
        thresholds.load(COMMITTED).limit("speed")


def test_noise_above_the_limit_is_inconclusive_and_so_is_ignorance(tmp_path: Path) -> None:
    known = thresholds.load(_file(tmp_path))
    known.refuse_noise(_recording(0.5))
    with pytest.raises(Inconclusive, match=r"waited for a CPU 51% of the time, limit 50%"):
        known.refuse_noise(_recording(0.51))
    with pytest.raises(Inconclusive, match="does not say"):
        known.refuse_noise(_recording(None))


def test_calibrated_figures_belong_to_their_machine(tmp_path: Path) -> None:
    path = _file(tmp_path)
    figure = {"n": 3, "mean": 20.0, "sd": 1.0, "unit": "1/s", "runs": ["a", "b", "c"]}
    thresholds.calibrate(path, MACHINE, {"throughput_50_per_s": figure})
    known = thresholds.load(path)
    found = known.calibrated("throughput_50_per_s", "abc")
    assert found is not None and (found.mean, found.runs) == (20.0, ("a", "b", "c"))
    assert known.calibrated("throughput_50_per_s", "other") is None
    assert known.calibrated("throughput_10_per_s", "abc") is None
    assert known.limit("cpu_stall_share") == 0.5
    assert json.loads(path.read_text())["machine"]["kernel"] == "6.1"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"limits": {"a": 1}, "figures": {}}', '{"limits": {}}'])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(text)
    with pytest.raises(BadThresholds) as caught:
        thresholds.load(path)
    assert "\n" not in str(caught.value) and "thresholds.json" in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadThresholds, match="cannot be read"):
        thresholds.load(tmp_path / "none.json")


def _runs(folder: Path, rates: list[float], *, machine: str = "abc", stall: float | None = 0.1) -> list[Path]:
    made: list[Path] = []
    for number, rate in enumerate(rates):
        run = folder / f"{machine}-{stall}-{number}"
        run.mkdir()
        (run / "run.json").write_text(json.dumps({"run_id": run.name, "machine": MACHINE | {"fingerprint": machine}}))
        measured = {"workloads_per_s": rate, "divisor": 50, "cpu_stall_share": stall}
        lines: list[Manifest] = [
            {"behaviour": "kueue.throughput.rate", "measured": measured},
            {"behaviour": "other", "measured": {}},
        ]
        (run / "verdicts.jsonl").write_text("\n".join(map(json.dumps, lines)))
        made.append(run)
    return made


def test_calibration_takes_mean_spread_and_runs(tmp_path: Path) -> None:
    machine, figures = collect(_runs(tmp_path, [10.0, 12.0, 14.0]), 0.5)
    assert machine["fingerprint"] == "abc"
    one = figures["throughput_50_per_s"]
    assert (one["n"], one["mean"], one["sd"], len(one["runs"])) == (3, 12.0, 2.0, 3)


def test_calibration_refuses_noise_strangers_and_rubble(tmp_path: Path) -> None:
    noisy = _runs(tmp_path, [10.0, 11.0], stall=0.9)
    calm = _runs(tmp_path, [10.0, 11.0])
    with pytest.raises(BadRuns, match=r"fewer than 3 usable runs of 4; too busy a machine in: abc-0.9-0"):
        collect([*noisy, *calm], 0.5)
    with pytest.raises(BadRuns, match="2 machines"):
        collect([*calm, *_runs(tmp_path, [10.0], machine="def")], 0.5)
    with pytest.raises(BadRuns, match="no finished run"):
        collect([tmp_path / "nothing"], 0.5)
