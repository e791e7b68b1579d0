"""How a run spent its time, as exhibits that the report can draw."""

from __future__ import annotations

from pathlib import Path

from gpuassay.engine.timeline import Timeline
from gpuassay.report.exhibits import EXHIBIT


def test_what_a_run_writes_of_its_time_can_be_drawn(tmp_path: Path) -> None:
    """Red when the report leaves an exhibit out because a field has another name than it reads."""
    line = Timeline()
    began = line._began_ns  # pyright: ignore[reportPrivateUsage]
    line.add("cluster", "one", began, began + 2_000_000_000)
    line.add("builds", "kueue", began, began + 1_000_000_000)
    line.write(tmp_path / "exhibits")
    found = [EXHIBIT.validate_json(one.read_bytes()) for one in (tmp_path / "exhibits").iterdir()]
    assert {one.id for one in found} == {"run-timeline", "run-at-once"}
    assert [len(one.lanes) for one in found if one.kind == "gantt"] == [2]
