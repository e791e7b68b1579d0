"""Summary, terminal ending, Allure extras and the sub-command."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gpuassay.commands import report as command
from gpuassay.report import terminal_ending, write
from gpuassay.report.allure import full_name
from gpuassay.verdict import State
from tests.report.synthetic import exhibits, many, run_json, six_states, verdict, write_run


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "allure-results").glob("*-result.json"))]


def test_the_summary_holds_verdict_accounting_findings_tables_and_versions(tmp_path: Path) -> None:
    text = write(write_run(tmp_path / "run", six_states(), exhibits=exhibits())).summary.read_text()
    assert text.startswith("# Not fit: kueue v0.19.2 on the embedded cluster (Kubernetes v1.36.3)\n")
    assert "| ✗ FAIL | 1 | refuted |" in text
    assert "| **declared** | **7** | the sum |" in text
    assert "| BestEffortFIFO | 522.2 | 15,001 | 1.05 | 0.98 to 1.02 | \u2013 |" in text
    assert "- ○ **SKIP** 2 behaviours: needs real-kubelet (kueue.quota.mig, kueue.quota.dra)" in text
    assert "  seen:     job-a, job-b, job-c" in text
    assert "- **GPU nodes** by KWOK: No GPU exists." in text
    assert "| kueue | v0.19.2 | built from its Go module | abababababab |" in text


def test_a_reason_cannot_leave_its_fence(tmp_path: Path) -> None:
    bad = verdict(state=State.FAIL, reason="out of order\n````\n# out\n<b>x")
    text = write(write_run(tmp_path / "run", [bad])).summary.read_text()
    assert "\n  `````text\n  ````\n  # out\n  <b>x\n  `````\n" in text


def test_a_cell_cannot_leave_its_table(tmp_path: Path) -> None:
    shown = exhibits()[0] | {"rows": [["a|b\n<i>", 1.0, 2.0, 3.0, "", None]]}
    text = write(write_run(tmp_path / "run", [verdict()], exhibits=[shown])).summary.read_text()
    assert "| a\\|b \\<i\\> | 1 |" in text or "| a\\|b | 1 |" in text


def test_the_terminal_ends_with_account_findings_and_path(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states())
    written = write(folder)
    lines = terminal_ending(folder)
    assert lines[0].startswith("Not fit: kueue v0.19.2")
    assert lines[1].startswith("7 behaviours declared in 4 min 12 s = ✗ 1 FAIL")
    assert [line.split()[1] for line in lines[2:7]] == ["FAIL", "ERROR", "INCONCLUSIVE", "KNOWN-DEFECT", "SKIP"]
    assert "2 behaviours: needs real-kubelet" in lines[6]
    assert lines[-1] == f"report: {written.page}"


def test_the_terminal_shows_twelve_findings_and_counts_the_rest(tmp_path: Path) -> None:
    verdicts = [verdict(f"kueue.order.b{i:02d}", State.FAIL, reason=f"\x1b[31mno {i}\nmore") for i in range(30)]
    lines = terminal_ending(write_run(tmp_path / "run", verdicts))
    assert sum("✗ FAIL" in line and "kueue.order" in line for line in lines) == 12
    assert any("and 18 findings more" in line for line in lines)
    assert not any("\x1b" in line or "\n" in line for line in lines)


def test_a_replay_says_so_in_capitals_everywhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict()], run=run_json(mode="replay", replay_of="run-7"))
    written = write(folder)
    for text in (written.page.read_text(), written.summary.read_text(), terminal_ending(folder)[0]):
        assert "REPLAY of run-7" in text
    assert "mode=REPLAY\n" in (folder / "allure-results" / "environment.properties").read_text()
    assert "REPLAY" in json.loads((folder / "allure-results" / "executor.json").read_text())["buildName"]


@pytest.mark.parametrize(
    ("state", "names", "fate"),
    [
        (State.FAIL, "swap", "killed by kueue.order.burst"),
        (State.PASS, "swap", "SURVIVED"),
        (State.FAIL, "other", "no declared behaviour names it"),
    ],
)
def test_a_mutant_run_names_the_mutant_and_its_fate(state: State, names: str, fate: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict(state=state, mutant=names)], run=run_json(mutant="swap"))
    written = write(folder)
    for text in (written.page.read_text(), written.summary.read_text(), "\n".join(terminal_ending(folder))):
        assert "MUTANT swap" in text
        assert fate in text
        assert "Fit as tested" not in text


def test_a_live_run_without_a_mutant_says_neither(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict()])
    written = write(folder)
    for text in (written.page.read_text(), written.summary.read_text(), "\n".join(terminal_ending(folder))):
        assert "REPLAY" not in text
        assert "MUTANT" not in text


def test_a_test_without_an_allure_result_gets_one_and_only_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states())
    crashed = "suites.kueue.test_preemption#test_victims"
    (folder / "allure-results").mkdir()
    for index, one in enumerate(six_states()):
        name = full_name(one.test)
        if name != crashed:
            result = {"fullName": name, "name": one.test.rsplit("::", 1)[1], "status": "passed"}
            (folder / "allure-results" / f"{index}-result.json").write_text(json.dumps(result))
    (folder / "allure-results" / "half-result.json").write_text('{"fullName": "suites.kueue.te')
    write(folder)
    write(folder)
    (folder / "allure-results" / "half-result.json").unlink()
    (found,) = [result for result in results(folder) if result["fullName"] == crashed]
    assert found["status"] == "broken"
    assert found["statusDetails"]["message"] == "ERROR: scenario broke: kueue exited with code 2"
    assert len(results(folder)) == len(six_states())


def test_a_parametrised_test_is_matched_by_its_case_and_a_label_beats_names(tmp_path: Path) -> None:
    node = "suites/kueue/test_order.py::TestBurst::test_it"
    verdicts = [verdict(f"kueue.order.{case}", test=f"{node}[{case}]") for case in ("a", "b", "c")]
    folder = write_run(tmp_path / "run", verdicts)
    (folder / "allure-results").mkdir()
    name = "suites.kueue.test_order.TestBurst#test_it"
    labels = [{"name": "as_id", "value": "kueue.order.b"}]
    (folder / "allure-results" / "1-result.json").write_text(json.dumps({"fullName": name, "name": "test_it[a]"}))
    (folder / "allure-results" / "2-result.json").write_text(json.dumps({"name": "B", "labels": labels}))
    write(folder)
    written = [result for result in results(folder) if "status" in result]
    assert [result["statusDetails"]["message"] for result in written] == ["PASS: "]
    assert {"name": "as_id", "value": "kueue.order.c"} in written[0]["labels"]


def test_allure_knows_cluster_versions_and_the_five_categories(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states())
    write(folder)
    environment = (folder / "allure-results" / "environment.properties").read_text()
    assert "cluster=embedded\n" in environment
    assert "version.kueue=v0.19.2\n" in environment
    assert "emulated=GPU nodes; run time of jobs\n" in environment
    categories = json.loads((folder / "allure-results" / "categories.json").read_text())
    assert len(categories) == 5


@pytest.mark.parametrize(
    ("status", "message", "name"),
    [
        ("skipped", "INCONCLUSIVE: noise", "Inconclusive"),
        ("broken", "gpuassay.verdict.Inconclusive: noise", "Inconclusive"),
        ("skipped", "KNOWN-DEFECT: as the issue says", "Known defect"),
        ("skipped", "XFAIL reason: as the issue says", "Known defect"),
        ("skipped", "SKIP: needs real-kubelet\nsecond line", "Capability missing"),
        ("broken", "ERROR: kueue died\nInconclusive logs", "Infrastructure"),
        ("failed", "AssertionError: 1.4\nabove threshold 1.1", "Threshold missed"),
        ("failed", "AssertionError: wrong order", None),
    ],
)
def test_a_message_falls_into_one_category(status: str, message: str, name: str | None, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict()])
    write(folder)
    categories = json.loads((folder / "allure-results" / "categories.json").read_text())
    candidates = [category for category in categories if status in category["matchedStatuses"]]
    hits = [category["name"] for category in candidates if re.fullmatch(category["messageRegex"], message)]
    assert len(hits) == (0 if name is None else 1)
    assert name is None or hits[0].startswith(name)


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    parsed = parser.parse_args(["report", *arguments])
    return int(parsed.run(parsed))


@pytest.mark.parametrize(("state", "code"), [(State.PASS, 0), (State.FAIL, 1), (State.SKIP, 1)])
def test_the_command_exits_by_green(
    state: State, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "run", [verdict(state=state)])
    assert run_command(str(folder)) == code
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(str(tmp_path / "absent")) == 2
    assert capsys.readouterr().err == f"gpuassay report: {tmp_path / 'absent'}: no such run directory\n"


def test_writing_twice_gives_the_same_bytes_and_leaves_no_parts(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [*six_states(), *many()], exhibits=exhibits())
    write(folder)
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write(folder)
    assert first == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not [path for path in first if path.suffix == ".part"]
