"""`gpuassay compare` and `gpuassay matrix`: what changed between runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cli import main
from gpuassay.commands import matrix as command
from gpuassay.report import ReportError
from gpuassay.report.compare import Change, differences, effects, matrix
from gpuassay.verdict import State, Verdict
from tests.report.synthetic import run_json, verdict

ONE, TWO = "kueue.order.burst", "kueue.order.other"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (State.PASS, State.FAIL, Change.REFUTED),
        (State.SKIP, State.FAIL, Change.REFUTED),
        (State.KNOWN_DEFECT, State.FAIL, Change.REFUTED),
        (None, State.FAIL, Change.REFUTED),
        (State.PASS, State.ERROR, Change.BROKE),
        (State.PASS, State.SKIP, Change.SKIPPED),
        (State.PASS, State.INCONCLUSIVE, Change.UNDECIDED),
        (State.PASS, None, Change.REMOVED),
        (State.PASS, State.KNOWN_DEFECT, Change.DEFECT),
        (State.FAIL, State.PASS, Change.MENDED),
        (State.KNOWN_DEFECT, State.PASS, Change.MENDED),
        (State.SKIP, State.PASS, Change.JUDGED),
        (State.INCONCLUSIVE, State.PASS, Change.JUDGED),
        (None, State.PASS, Change.ADDED),
        (State.FAIL, State.FAIL_RECORDED, Change.REFUTED),
        (State.PASS, State.PASS_RECORDED, Change.OTHER),
    ],
)
def test_what_became_of_a_behaviour(before: State | None, after: State | None, change: Change) -> None:
    same = verdict(TWO)
    earlier = [same, *([verdict(ONE, before)] if before else [])]
    later = [same, *([verdict(ONE, after)] if after else [])]
    [found] = differences(earlier, later)
    assert (found.behaviour, found.change, found.before, found.after) == (ONE, change, before, after)


@pytest.mark.parametrize("state", list(State))
def test_what_ended_alike_is_no_difference(state: State) -> None:
    assert differences([verdict(ONE, state)], [verdict(ONE, state, reason="in other words")]) == []


def test_the_worst_comes_first() -> None:
    before = [verdict(ONE), verdict(TWO, State.FAIL)]
    after = [verdict(ONE, State.FAIL), verdict(TWO)]
    assert [one.change for one in differences(before, after)] == [Change.REFUTED, Change.MENDED]


def test_runs_of_different_suites_are_not_compared() -> None:
    with pytest.raises(ReportError, match="no behaviour in common: they judged different suites"):
        differences([verdict(ONE)], [verdict(TWO)])


def _measured(value: object, interval: list[float] | None = None) -> list[Verdict]:
    return [verdict(ONE, measured={"ttft_s": value}, interval=interval)]


def test_an_effect_is_told_as_a_ratio_and_whether_the_intervals_lie_apart() -> None:
    [far] = effects(_measured(2.0, [1.9, 2.1]), _measured(3.0, [2.9, 3.1]))
    [near] = effects(_measured(2.0, [1.0, 3.0]), _measured(2.5, [1.5, 3.5]))
    assert (far.ratio, far.apart, near.apart) == (1.5, True, False)
    assert effects(_measured(2.0), _measured(2.0)) == []
    assert effects(_measured("fast"), _measured(2.0)) == []
    assert effects(_measured(0.0), _measured(2.0))[0].ratio is None


def test_a_matrix_shows_what_differs_and_counts_the_rest() -> None:
    told = "\n".join(matrix({"a": [verdict(ONE), verdict(TWO)], "b": [verdict(ONE), verdict(TWO, State.FAIL)]}))
    assert f"| `{TWO}` | PASS | FAIL |" in told
    assert f"`{ONE}`" not in told
    assert "| all: PASS | 2 | 1 |" in told
    assert "1 of 2 behaviours end alike in all of them." in told


def _run(folder: Path, verdicts: Sequence[Verdict], **changes: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run_json(**changes)))
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(one.to_json()) + "\n" for one in verdicts))
    return folder


def test_the_command_says_what_changed_and_fails_on_a_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kueue = [{"name": "kueue", "version": "v0.18.4", "source": "cache", "sha256": ""}]
    older = _run(tmp_path / "a", [verdict(ONE), verdict(TWO)], components=kueue)
    newer = _run(tmp_path / "b", [verdict(ONE), verdict(TWO, State.FAIL, reason="a | b")])
    assert main(["compare", str(older), str(newer)]) == 1
    out = capsys.readouterr().out
    assert "kueue v0.18.4 -> v0.19.2" in out
    assert f"| `{TWO}` | PASS | FAIL | refuted now: a \\| b |" in out
    assert main(["compare", str(newer), str(older)]) == 0
    capsys.readouterr()
    assert main(["compare", str(older), str(older), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"differences": [], "effects": []}


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = _run(tmp_path / "a", [verdict(ONE)])
    assert main(["compare", str(older), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _fake(monkeypatch: pytest.MonkeyPatch, states: dict[str, State | None]) -> None:
    """A run that ends at once: every version with the state of its behaviour, None: without a run directory."""

    class Done:
        returncode = 0

    def run(words: Sequence[str], **_: object) -> Done:
        version = next(word for word in words if word.startswith("--asset=")).partition("@")[2]
        folder = Path(next(word for word in words if word.startswith("--run-dir=")).partition("=")[2])
        state = states[version]
        if state is not None:
            _run(folder / "20260102-030405-abcd", [verdict(ONE, state), verdict(TWO)])
        return Done()

    monkeypatch.setattr(command.subprocess, "run", run)


def test_versions_are_judged_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fake(monkeypatch, {"0.18.4": State.PASS, "0.19.2": State.FAIL})
    assert main(["matrix", "--version", "kueue=0.18.4,v0.19.2", "--", "-k", "order"]) == 1
    assert f"| `{ONE}` | PASS | FAIL |" in capsys.readouterr().out
    assert main(["matrix", "--version", "kueue=0.19.2,0.18.4"]) == 0


def test_kubernetes_is_its_control_plane(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when people have to know what the toolchain calls Kubernetes."""
    _fake(monkeypatch, {"1.36.2": State.PASS, "1.37.1": State.PASS})
    assert main(["matrix", "--version", "kubernetes=1.36.2,1.37.1"]) == 0
    assert "| controlplane 1.36.2 | controlplane 1.37.1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("kueue", "give a component and two versions or more"),
        ("kueue=0.19.2", "give a component and two versions or more"),
        ("kueue=0.19.2,0.19.2", "give a component and two versions or more"),
        ("kueue=0.19.2,9.9.9", "kueue cannot be built at version 9.9.9: there are"),
        ("kubernetes=1.36.2,1.38.0", "cannot be built at version 1.38.0: there are 1.36.2, 1.37.1; nearest is 1.37.1"),
        ("kueu=0.19.2,0.18.4", "no component is called 'kueu'"),
    ],
)
def test_what_cannot_be_had_is_one_line_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: str, said: str
) -> None:
    _fake(monkeypatch, {})
    assert main(["matrix", "--version", asked]) == 2
    assert said in capsys.readouterr().err


def test_a_version_that_could_not_be_judged_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fake(monkeypatch, {"0.18.4": None, "0.19.2": State.PASS})
    assert main(["matrix", "--version", "kueue=0.18.4,0.19.2"]) == 2
    assert "kueue 0.18.4 could not be judged" in capsys.readouterr().err
