"""The kill matrix: nothing is assumed, nothing that says nothing counts as a kill, a run goes on where it ended."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpuassay.commands import kill_matrix
from gpuassay.kills.page import Row, page
from gpuassay.kills.store import KILLED, NOT_RUN, SILENT, SURVIVED, BadResultsError, Broken, Results, Tried, load, save
from gpuassay.kills.trial import Trial
from gpuassay.report.kills import matrix
from gpuassay.scenarios import mutants
from gpuassay.session.declared import Declared
from gpuassay.verdict import MUST, Behaviour, State
from tests.report.synthetic import verdict


def declared(name: str, mutant: str = "label-lost", *, measured: bool = False) -> Declared:
    rule = Behaviour(name, MUST, "spec", "red when", mutant)
    return Declared(name, rule, "title", "", measured, frozenset(), f"suites/x.py::{name}")


def tried(state: State) -> Tried:
    return Tried(state=state, date="2026-11-30", version="0.1.0")


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        (State.FAIL, KILLED), (State.PASS, SURVIVED), (State.PASS_RECORDED, SURVIVED), (State.SKIP, SILENT),
        (State.ERROR, SILENT), (State.KNOWN_DEFECT, SILENT), (State.INCONCLUSIVE, SILENT),
    ],
)  # fmt: skip
def test_only_a_refutation_is_a_kill(state: State, fate: str) -> None:
    """Red when a skip, a broken run or a known defect is counted as a kill."""
    assert tried(state).fate == fate


def test_what_was_never_tried_is_not_run() -> None:
    """Red when a kill is assumed."""
    results = Results(mutants={"m": Broken(behaviours={"kueue.a.b": tried(State.FAIL)})})
    assert results.fate("m", "kueue.a.b") == KILLED
    assert results.fate("m", "kueue.a.c") == results.fate("other", "kueue.a.b") == NOT_RUN


def test_results_come_back_as_they_were_and_bad_ones_are_one_line(tmp_path: Path) -> None:
    """Red when results are lost between two runs, or a broken file is overwritten without a word."""
    kept = Results(mutants={"m": Broken(layer="objects", seconds=3.5, behaviours={"kueue.a.b": tried(State.FAIL)})})
    save(kept, tmp_path / "r.json")
    assert load(tmp_path / "r.json") == kept
    assert load(tmp_path / "none.json") == Results()
    for text in ("{", '{"format": 2}', '{"mutants": {"m": {"behaviours": {"b": {"state": "GONE"}}}}}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(BadResultsError, match=r"no kill results of format 1") as caught:
            load(tmp_path / "r.json")
        assert "\n" not in str(caught.value)


def test_the_page_counts_every_fate_and_says_why_there_is_no_mutant() -> None:
    """Red when a behaviour is missing from the page, or stands there with another's fate."""
    rows = [
        Row("kueue.a.killed", "kueue", "MUST", "m", "objects", ""),
        Row("kueue.a.green", "kueue", "MUST", "m", "objects", ""),
        Row("llmd.a.never", "llmd", "MUST", "n", "protocol", ""), Row("llmd.a.defect", "llmd", "MUST", "", "", "https://x/1"),
        Row("llmd.a.figure", "llmd", "INFO", "", "", ""), Row("llmd.a.none", "llmd", "MUST", "", "", ""),
    ]  # fmt: skip
    seen = {"kueue.a.killed": tried(State.FAIL), "kueue.a.green": tried(State.PASS)}
    identity = {"kueue.a.green": tried(State.PASS), "llmd.a.none": tried(State.FAIL)}
    made = page(rows, Results(mutants={"m": Broken(behaviours=seen), "identity": Broken(behaviours=identity)}))
    assert "| all | 6 | 3 | 1 | 1 | 0 | 1 | 3 | 2 | 1 |" in made
    assert "| protocol | 1 | 1 | 0 | 0 | 0 | 1 |" in made
    assert "| `m` | objects | `kueue.a.green` | SURVIVED | 2026-11-30, 0.1.0 |" in made
    assert "| `n` | protocol | `llmd.a.never` | not run | - |" in made
    assert "| `llmd.a.defect` | MUST | it fails already, as a known defect: https://x/1 |" in made
    assert "a figure without a bound" in made
    assert "| `llmd.a.none` | MUST | none is written yet |" in made


def test_the_report_tells_kills_by_system_and_layer() -> None:
    """Red when the exhibit counts a behaviour twice, or calls one killed that was never run."""
    verdicts = [verdict("kueue.a.b", mutant="m"), verdict("kueue.a.c", mutant="m"), verdict("kueue.a.d")]
    results = Results(mutants={"m": Broken(layer="objects", behaviours={"kueue.a.b": tried(State.FAIL)})})
    made = matrix(verdicts, results)
    assert made is not None
    assert made.rows == [["kueue", "objects", 1, 2, 1, 0, 0, 1, "2026-11-30"]]
    assert made.notes[-1] == "Without a mutant: 1 of kueue."
    assert matrix([verdict()], results) is None


def test_every_mutant_has_a_layer() -> None:
    """Red when a mutant changes something of which nobody knows where it lies."""
    layers = {"objects", "patches", "deployment", "node", "GPU", "protocol"}
    assert {name: one.where for name, one in mutants.known().items() if one.where not in layers} == {
        "identity": "nothing"
    }


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[tuple[str, list[str]]]]:
    """The command with three declared behaviours and a trial that kills the first alone; what was tried."""
    asked: list[tuple[str, list[str]]] = []
    known = [
        declared("kueue.a.one"),
        declared("kueue.a.two"),
        declared("llmd.a.one"),
        declared("kueue.p.x", measured=True),
    ]

    def play(mutant: str, tests: Sequence[str], markers: str) -> Trial:
        del markers
        asked.append((mutant, list(tests)))
        states = {test.partition("::")[2]: "PASS" for test in tests}
        if mutant != "identity":
            states["kueue.a.one"] = "FAIL"
        return Trial(states, 1.0, "")

    monkeypatch.setattr(kill_matrix, "everything", lambda: known)
    monkeypatch.setattr(kill_matrix, "trial", play)
    monkeypatch.setattr(kill_matrix, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(mutants, "known", lambda: {name: mutants.MUTANTS[name] for name in ("identity", "label-lost")})
    mutants.MUTANTS.setdefault("label-lost", mutants.Mutant("label-lost", "labels", dict, layer="objects"))
    return tmp_path / "results.json", asked


def call(file: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    kill_matrix.add(parser.add_subparsers())
    options = parser.parse_args(["kill-matrix", "--results", str(file), *words])
    return int(options.run(options))


def test_a_survivor_makes_the_command_red_and_stands_in_the_results(
    command: tuple[Path, list[tuple[str, list[str]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Red when a behaviour that stays green under its mutant goes unnoticed."""
    file, asked = command
    assert call(file, "label-lost", "--system", "kueue") == 1
    assert asked == [("label-lost", ["suites/x.py::kueue.a.one", "suites/x.py::kueue.a.two"])]
    assert "kueue.a.two: PASS under its mutant label-lost, must be FAIL" in capsys.readouterr().out
    states = json.loads(file.read_text())["mutants"]["label-lost"]["behaviours"]
    assert {name: one["state"] for name, one in states.items()} == {"kueue.a.one": "FAIL", "kueue.a.two": "PASS"}


def test_it_goes_on_where_it_ended(command: tuple[Path, list[tuple[str, list[str]]]]) -> None:
    """Red when hours of kill runs are run again, or what was left is forgotten."""
    file, asked = command
    assert call(file, "--minutes", "-1") == 0
    assert asked == []
    call(file, "label-lost", "--system", "kueue", "-k", "one")
    call(file)
    assert asked[1:] == [
        ("identity", ["suites/x.py::kueue.a.one", "suites/x.py::kueue.a.two"]),
        ("identity", ["suites/x.py::llmd.a.one"]),
        ("label-lost", ["suites/x.py::kueue.a.two", "suites/x.py::llmd.a.one"]),
    ]  # fmt: skip
    assert call(file) == 0
    assert len(asked) == 4


def test_what_fits_nothing_is_one_line(command: tuple[Path, list[tuple[str, list[str]]]]) -> None:
    """Red when a misspelt name runs nothing and looks green."""
    file, _ = command
    with pytest.raises(kill_matrix.NothingSelectedError, match="no behaviour is selected; systems are kueue, llmd"):
        call(file, "--system", "nothing")
    with pytest.raises(kill_matrix.NothingSelectedError, match="no selected behaviour names label-lots"):
        call(file, "label-lots")
