"""Cutting shared logs: each scenario gets its own lines and the nameless ones of its cycles, nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

from gpuassay.manifest import Manifest
from gpuassay.record.lines import LineIndex

MINE, OTHER = "mine-x00000a", "other-x00000b"


def index(path: Path, *lines: Manifest) -> LineIndex:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return LineIndex(path)


def test_a_line_that_names_the_scenario_is_its_own(tmp_path: Path) -> None:
    lines = index(tmp_path / "log", {"queue": f"q-{MINE}"}, {"queue": f"q-{OTHER}"})
    assert lines.of(MINE, 0) == [{"queue": f"q-{MINE}"}]


def test_a_nameless_line_goes_with_its_cycle(tmp_path: Path) -> None:
    named: Manifest = {"schedulingCycle": 7, "queue": f"q-{MINE}"}
    nameless: Manifest = {"schedulingCycle": 7, "msg": "done"}
    lines = index(tmp_path / "log", named, nameless, {"schedulingCycle": 8, "msg": "done"})
    assert lines.of(MINE, 0) == [named, nameless]


def test_another_scenarios_decision_in_the_same_cycle_is_left_out(tmp_path: Path) -> None:
    mine: Manifest = {"schedulingCycle": 7, "queue": f"q-{MINE}"}
    other: Manifest = {"schedulingCycle": 7, "queue": f"q-{OTHER}"}
    lines = index(tmp_path / "log", mine, other)
    assert lines.of(MINE, 0) == [mine]
    assert lines.of(OTHER, 0) == [other]
    assert lines.of(MINE, 0, everything=True) == [mine, other]


def test_lines_before_the_start_are_left_out(tmp_path: Path) -> None:
    lines = index(tmp_path / "log", {"queue": f"q-{MINE}"})
    assert lines.of(MINE, lines.position()) == []


def test_the_place_of_the_run_is_not_told(tmp_path: Path) -> None:
    """Red when recordings name folders of the machine they were made on."""
    path = tmp_path / "kueue.log"
    path.write_text(json.dumps({"msg": f"certificates in {tmp_path}/cluster/x", "name": "a-xabc123"}) + "\n")
    assert LineIndex(path, tmp_path).of("a-xabc123", 0) == [
        {"msg": "certificates in RUN/cluster/x", "name": "a-xabc123"}
    ]
