"""Claims of the paper: their lines and their page; what a run's rounds can see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpuassay import cli
from gpuassay.commands import power
from gpuassay.report.claims import claim_line, claims, exhibit
from gpuassay.session.measure import Measure
from gpuassay.stats.claims import Claim, Plan, judge
from gpuassay.stats.evidence import differences, pairs
from gpuassay.verdict import State, Verdict
from tests.report.synthetic import run_json, verdict

CLAIM = Claim("priority", "makespan", "lower", 0.02, paper=0.904)


def judged(
    values: list[float], name: str = "kueue.performance.paper-claim[priority]", reason: str = "", where: str = "Table 3"
) -> Verdict:
    """A verdict with the figures that a test of a claim hands to the report."""
    ruling = judge({"a": (CLAIM, pairs(values, [1.0] * len(values)))}, Plan())["a"]
    measure = Measure(Path())
    measure.claim(where, CLAIM, ruling)
    state = {"holds": State.PASS, "refuted": State.FAIL}.get(ruling.outcome, State.INCONCLUSIVE)
    return verdict(
        name, state, measured=measure.values, interval=measure.bounds, threshold=measure.limit,
        reason=reason or (ruling.reason if state is not State.PASS else ""),
    )  # fmt: skip


REPRODUCED = judged([0.91, 0.92, 0.915, 0.92, 0.91])
REFUTED = judged([1.05, 1.06, 1.055, 1.05, 1.06], "kueue.performance.paper-claim[preemption]")
OPEN = judged([0.91], "kueue.performance.paper-claim[two-queues]")


def untestable(tmp_path: Path) -> Verdict:
    measure = Measure(tmp_path)
    with pytest.raises(pytest.skip.Exception) as skipped:
        measure.untestable("Table 6", 38.0, "fake GPUs do no work", "%")
    return verdict(
        "slices.performance.paper-needs-gpus[dram]", State.SKIP, measured=measure.values,
        reason=f"Skipped: {skipped.value}",
    )  # fmt: skip


def written(folder: Path, *verdicts: Verdict) -> Path:
    run = folder / "run"
    (run / "recordings" / "a").mkdir(parents=True)
    (run / "recordings" / "a" / "events.jsonl").write_text("{}\n")
    (run / "run.json").write_text(json.dumps(run_json()))
    (run / "verdicts.jsonl").write_text("".join(json.dumps(one.to_json()) + "\n" for one in verdicts))
    return run


def test_a_line_says_the_papers_value_ours_and_what_became_of_it(tmp_path: Path) -> None:
    assert claim_line(REPRODUCED).startswith("Table 3 priority: paper 0.904, ours 0.915 (")
    assert "REPRODUCED, 5 rounds, below 0.9804 asked" in claim_line(REPRODUCED)
    assert "NOT REPRODUCED" in claim_line(REFUTED)
    assert "NOT DECIDED, 1 of at least 3 rounds: fewer decide nothing" in claim_line(OPEN)
    assert claim_line(untestable(tmp_path)) == (
        "Table 6 dram: paper 38 %, ours -: NOT TESTABLE HERE, fake GPUs do no work"
    )


def test_the_report_shows_what_could_have_been_seen_beside_each_claim() -> None:
    table = exhibit([REPRODUCED, OPEN])
    assert [row[4] for row in table["rows"]] == ["reproduced", "not decided"]
    assert table["rows"][0][-1].endswith(" %")
    assert table["rows"][1][-1] == "-"


def test_only_claims_are_listed_by_table() -> None:
    late = judged([0.9], "llmd.performance.paper-gain[mean]", where="Figure 6")
    assert claims([verdict(), REPRODUCED, late]) == [late, REPRODUCED]


def test_the_page_is_made_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = verdict("slices.performance.paper-claim[mean]", State.SKIP, reason="the cluster lacks: root")
    run = written(tmp_path, REPRODUCED, REFUTED, OPEN, untestable(tmp_path), lost)
    assert cli.main(["paper", str(run), "--out", str(tmp_path / "docs")]) == 0
    page = (tmp_path / "docs" / "README.md").read_text()
    assert "1 not decided, 1 not reproduced, 1 not testable here, 1 reproduced" in page
    assert "| Table 3 | priority | 0.904 | 0.915 (" in page
    assert "- slices.performance.paper-claim[mean]: the cluster lacks: root" in page
    assert page.count("| reproduced |") == 1
    said = capsys.readouterr()
    assert said.out.count("\n") == 4
    assert "4 claims of the paper" in said.err
    before = page.split("SHA-256")[1]
    (run / "recordings" / "a" / "events.jsonl").write_text("{} \n")
    cli.main(["paper", str(run), "--out", str(tmp_path / "docs")])
    assert (tmp_path / "docs" / "README.md").read_text().split("SHA-256")[1] != before


def test_a_run_without_claims_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["paper", str(written(tmp_path, verdict())), "--out", str(tmp_path / "docs")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "no claim of the paper was judged" in told
    assert not (tmp_path / "docs").exists()


def test_power_tells_what_other_numbers_of_rounds_would_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure = Measure(tmp_path)
    measure.effect(differences([5.0, 5.2, 4.9, 5.1], [0.0] * 4).after(), "difference", "ms")
    added = verdict("llmd.performance.picker-overhead[random]", measured=measure.values)
    assert cli.main(["power", str(written(tmp_path, REPRODUCED, added, OPEN, verdict()))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("kueue.performance.paper-claim[priority]: 3 rounds ")
    assert "5 rounds (played) " in lines[1] and " %" in lines[1]
    assert "4 rounds (played) 0.379" in lines[2] and " ms; 5 rounds" in lines[2]


def test_power_of_a_run_without_rounds_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged_again(run: Path, folder: Path) -> list[dict[str, Any]]:
        del run, folder
        return []

    monkeypatch.setattr(power, "_judged_again", judged_again)
    assert cli.main(["power", str(written(tmp_path, verdict(), OPEN))]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "nothing was measured in two rounds or more" in told


def test_power_of_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["power", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
