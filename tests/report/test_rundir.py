"""Reading a run directory: what must be whole, what may be missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuassay.report import ReportError, load, terminal_ending, write
from gpuassay.report.rundir import VARIANTS, Emulated, once
from tests.report.synthetic import exhibits, run_json, six_states, verdict, write_recording, write_run


def cut_verdicts(folder: Path) -> None:
    path = folder / "verdicts.jsonl"
    path.write_text(path.read_text()[:-40])


def change_verdict(folder: Path, **changes: object) -> None:
    (folder / "verdicts.jsonl").write_text(json.dumps(verdict().to_json() | changes) + "\n")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated line": (cut_verdicts, r"verdicts\.jsonl:7: not JSON, truncated\?"),
    "no verdicts": (lambda f: (f / "verdicts.jsonl").unlink(), r"verdicts\.jsonl: missing"),
    "unknown state": (lambda f: change_verdict(f, state="FINE"), r"verdicts\.jsonl:1: .*FINE"),
    "unknown level": (lambda f: change_verdict(f, level="SHALL"), r"verdicts\.jsonl:1: .*SHALL"),
    "no behaviour": (lambda f: change_verdict(f, behaviour=None), r"verdicts\.jsonl:1: behaviour: "),
    "not an object": (lambda f: (f / "verdicts.jsonl").write_text("[1]\n"), r"verdicts\.jsonl:1: "),
    "nested": (lambda f: (f / "verdicts.jsonl").write_text("[" * 200_000), r"verdicts\.jsonl:1: "),
    "no run": (lambda f: (f / "run.json").unlink(), r"run\.json: missing"),
    "cut run": (lambda f: (f / "run.json").write_text('{"format": 1, "run'), r"run\.json: not JSON, truncated\?"),
    "foreign format": (lambda f: (f / "run.json").write_text('{"format": 2}'), r"run\.json: format 2, .* format 1"),
    "run is a list": (lambda f: (f / "run.json").write_text("[]"), r"run\.json: format None"),
    "not UTF-8": (lambda f: (f / "run.json").write_bytes(b"\xff\xfe"), r"run\.json: .*utf-8"),
    "unknown mode": (lambda f: (f / "run.json").write_text(json.dumps(run_json(mode="dream"))), r"run\.json: mode: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_run_is_refused_in_one_line_and_the_terminal_says_so(case: str, tmp_path: Path) -> None:
    spoil, message = REFUSED[case]
    folder = write_run(tmp_path / "run", six_states())
    spoil(folder)
    with pytest.raises(ReportError, match=message) as caught:
        write(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()
    (line,) = terminal_ending(folder)
    assert line.startswith("gpuassay: no verdict")


def test_no_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no such run directory"):
        load(tmp_path / "absent")


def test_what_may_be_missing_is_named_and_the_rest_is_reported(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states(), run=run_json(ended=None, cluster=None), exhibits=exhibits())
    (folder / "durations.jsonl").write_text('{"test": "a", "seconds": 1}\n{"test": "b", "sec')
    (folder / "exhibits" / "aa.json").write_text('{"id": "aa"')
    (folder / "exhibits" / "bb.json").write_text('{"id": "bb", "kind": "pie", "title": "t"}')
    write_recording(folder, "burst")
    (folder / "recordings" / "burst" / "recording.json").write_text("")
    rundir = load(folder)
    assert rundir.durations == {"a": 1.0}
    assert len(rundir.exhibits) == len(exhibits())
    for part in ("not finished", "durations.jsonl:2", "exhibits/aa.json", "exhibits/bb.json", "recordings/burst"):
        assert any(part in problem for problem in rundir.problems), part
    assert all("\n" not in problem for problem in rundir.problems)
    page = write(folder).page.read_text()
    assert "Know this first" in page
    assert "on an unknown cluster" in page


def test_no_exhibits_and_no_durations_are_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states(), seconds=None)
    (folder / "exhibits").rmdir()
    problems = write(folder).problems
    assert any(problem.startswith("exhibits: missing") for problem in problems)
    assert any(problem.startswith("durations.jsonl: missing") for problem in problems)


@pytest.mark.parametrize(
    ("exhibit", "why"),
    [
        ({"kind": "table", "columns": ["a"], "rows": [[1, 2]]}, "row 1 has 2 cells, 1 columns"),
        ({"kind": "gantt", "lanes": [{"label": "g", "bars": [{"start": 2, "end": 1}]}]}, "ends before it starts"),
        ({"kind": "curve", "series": [{"label": "s", "points": [[0, float("nan")]]}]}, "finite"),
        ({"kind": "cdf", "series": [{"label": "s", "values": [float("inf")]}]}, "finite"),
    ],
)
def test_an_exhibit_that_cannot_be_drawn_is_left_out_and_named(
    exhibit: dict[str, object], why: str, tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "run", six_states(), exhibits=[{"id": "x", "title": "t", **exhibit}])
    rundir = load(folder)
    assert rundir.exhibits == []
    assert any(why in problem for problem in rundir.problems)


def test_a_behaviour_declared_twice_is_a_problem(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict(), verdict()])
    assert any("declared more than once: kueue.order.burst" in problem for problem in load(folder).problems)


def test_leaks_and_a_run_without_a_cluster_are_said(tmp_path: Path) -> None:
    run = run_json(cluster={"provider": "none", "kubernetes": "", "description": "no cluster was opened"})
    folder = write_run(tmp_path / "run", six_states(), run=run)
    (folder / "leaks.txt").write_text("Job/a\n")
    write(folder)
    ending = "\n".join(terminal_ending(folder))
    assert "left behind on the cluster" in ending
    assert "kueue v0.19.2, no cluster was opened" in ending


def test_what_is_emulated_is_told_once() -> None:
    """Red when the same stand-in is listed once for every scenario, or a way in which two of them differ is lost."""
    told = [
        Emulated(what="model servers", by="a simulator", means=f"no GPU; time is made up ({ms} ms)") for ms in (1, 2, 1)
    ]
    other = Emulated(what="nodes", by="KWOK", means="no kubelet")
    found = once([told[0], other, *told[1:]])
    assert [one.what for one in found] == ["model servers", "nodes"]
    assert found[0].means == "no GPU; time is made up (1 ms); or: (2 ms)"
    assert found[1] == other
    many = [Emulated(what="a", by="b", means=f"all {n}") for n in range(VARIANTS + 2)]
    assert once(many)[0].means.endswith("; and 2 more variants")
