"""The report of a run that is not finished: what is open counts, nothing looks decided, JUnit is there."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from gpuassay.report import accounting, load, terminal_ending, write
from gpuassay.verdict import State
from tests.report.synthetic import run_json, six_states, verdict, write_run

DECLARED = 40


def unfinished(folder: Path) -> Path:
    return write_run(folder, six_states(), run=run_json(ended=None, declared=DECLARED))


def test_what_is_not_judged_yet_is_open_and_nothing_is_green() -> None:
    """Red if a run of which one test has passed so far reads like a run that passed."""
    account = accounting([verdict()], open=3)
    assert (account.declared, account.open, account.executed, account.green) == (4, 3, 1, False)
    assert account.why == "So far 1 behaviour of 4 judged (1 PASS), 3 open."


def test_a_page_written_meanwhile_says_so(tmp_path: Path) -> None:
    folder = unfinished(tmp_path / "run")
    page, text = write(folder).page.read_text(), (folder / "summary.md").read_text()
    judged = len(six_states())
    for told in (page, text, "\n".join(terminal_ending(folder))):
        assert "SO FAR" in told
        assert f"So far {judged} behaviours of {DECLARED} judged" in told
    assert f"{DECLARED - judged} are still open" in page
    assert f"| open | {DECLARED - judged} |" in text


def test_without_a_refuted_behaviour_the_headline_says_not_finished(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [verdict()], run=run_json(ended=None, declared=2))
    assert "# Not finished: " in write(folder).summary.read_text()


def test_junit_of_an_unfinished_run_counts_as_pytest_does(tmp_path: Path) -> None:
    """Red if a CI job that was cancelled reads a failure as a pass."""
    folder = unfinished(tmp_path / "run")
    write(folder)
    suite = ElementTree.parse(folder / "junit.xml").getroot()[0]
    states = [State(one.state) for one in six_states()]
    assert int(suite.attrib["tests"]) == len(suite) == len(states)
    assert int(suite.attrib["failures"]) == states.count(State.FAIL) == len(suite.findall("*/failure"))
    assert int(suite.attrib["errors"]) == states.count(State.ERROR) == len(suite.findall("*/error"))
    assert len(suite.findall("*/skipped")) == int(suite.attrib["skipped"])


def test_junit_of_a_finished_run_is_pytests_own(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states())
    write(folder)
    assert not (folder / "junit.xml").exists()
    assert load(folder).open == 0
