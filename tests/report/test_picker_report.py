"""The report of an endpoint picker: versioned, complete, and conformant only where every MUST held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gpuassay
from gpuassay.cli import main
from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.systems.llmd.picker_report import SCENARIO

TARGET = {"target": "127.0.0.1:9002", "tls": True, "pool": "ns/pool", "model": "m"}


def verdict(name: str, state: str, level: str = "MUST", variant: str = "target") -> dict[str, Any]:
    return {
        "behaviour": f"llmd.any-picker.{name}[{variant}]", "level": level, "title": "t", "spec": "s", "state": state,
        "reason": "" if state == "PASS" else "why", "test": "x",
    }  # fmt: skip


def run_of(folder: Path, *verdicts: dict[str, Any], target: dict[str, Any] | None = TARGET) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"run_id": "20260101-000000-abcd", "ended": "2026-01-01T00:00:00Z"}))
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in verdicts))
    notes = {"target": target} if target else {}
    meta = RecordingMeta(scenario=SCENARIO, profile="default", token="t", outcome="ok", notes=notes)
    write_recording(folder / "recordings" / SCENARIO, meta)
    return folder


@pytest.mark.parametrize(
    ("verdicts", "conforms"),
    [
        ([verdict("a", "PASS"), verdict("b", "FAIL", "SHOULD"), verdict("c", "FAIL", variant="llm-d")], True),
        ([verdict("a", "PASS"), verdict("b", "FAIL")], False),
        ([verdict("a", "PASS"), verdict("b", "SKIP")], False),
        ([verdict("b", "PASS", "SHOULD")], False),
    ],
)
def test_a_picker_conforms_where_every_must_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verdicts: list[dict[str, Any]], conforms: bool
) -> None:
    """Red when a picker that failed, or was not judged, is said to conform, or another picker's verdicts count."""
    run, out = run_of(tmp_path / "run", *verdicts), tmp_path / "picker.json"
    assert main(["picker-report", str(run), str(out)]) == (0 if conforms else 1)
    found = json.loads(out.read_text())
    assert (found["format"], found["suite"]["version"], found["conforms"]) == (1, gpuassay.__version__, conforms)
    assert found["picker"] == TARGET and found["run"] == "20260101-000000-abcd"
    assert {one["id"] for one in found["behaviours"]} <= {"llmd.any-picker.a", "llmd.any-picker.b"}
    assert f"127.0.0.1:9002 is {'' if conforms else 'not '}conformant" in capsys.readouterr().out


def test_a_run_without_a_picker_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when a run that asked no picker gives a report, or a file that is there is overwritten."""
    run = run_of(tmp_path / "run", target=None)
    assert main(["picker-report", str(run), str(tmp_path / "out.json")]) == 2
    assert "run the suite with --epp-target HOST:PORT" in capsys.readouterr().err
    assert main(["picker-report", str(tmp_path / "none"), str(tmp_path / "out.json")]) == 2
    (tmp_path / "out.json").write_text("mine")
    assert main(["picker-report", str(run), str(tmp_path / "out.json")]) == 2
    assert (tmp_path / "out.json").read_text() == "mine"
