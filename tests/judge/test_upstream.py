from __future__ import annotations

from dataclasses import replace

import pytest

from gpuassay.record.recording import Recording, RecordingError, RecordingMeta
from gpuassay.record.upstream import RESULTS as NOTE
from gpuassay.record.upstream import Case, Outcome, Results
from gpuassay.systems.upstream.judge import NotToldError, case_of, table

GOOD = Case("Good", Outcome.PASSED, "", 0.5, ("SupportGateway",))
BAD = Case("Bad", Outcome.FAILED, "no answer")
RESULTS = Results("gaie", "v9", "run by gpuassay", (GOOD, BAD))


def test_a_case_is_found_by_its_name() -> None:
    assert case_of(RESULTS, "Bad", {"Good", "Bad"}) is BAD


def test_a_declared_test_of_which_nothing_is_told_is_no_pass() -> None:
    """Red when a test that upstream has dropped, or did not come to, ends in silence."""
    with pytest.raises(NotToldError, match="gaie v9 told nothing of Lost: it has no such test"):
        case_of(RESULTS, "Lost", {"Good", "Bad", "Lost"})
    with pytest.raises(NotToldError, match="told nothing of Lost: ended after 280 s"):
        case_of(replace(RESULTS, problem="ended after 280 s"), "Lost")


def test_a_test_that_nobody_judges_is_no_pass_of_the_others() -> None:
    """Red when upstream gets a new test and the run stays green without it."""
    with pytest.raises(NotToldError, match="has tests that nobody judges here: Bad"):
        case_of(RESULTS, "Good", {"Good"})


def test_a_case_that_broke_is_no_failure_of_the_system() -> None:
    with pytest.raises(NotToldError, match="gaie v9: cut off"):
        case_of(replace(RESULTS, cases=(Case("Good", Outcome.ERROR, "cut off"),)), "Good")


def test_results_survive_a_recording() -> None:
    recording = Recording.of_parts(RecordingMeta("s", notes={"upstream": NOTE.as_json(RESULTS)}))
    assert recording.note(NOTE) == RESULTS


def test_notes_that_hold_something_else_are_refused() -> None:
    with pytest.raises(RecordingError, match="note 'upstream' is no Results: Object missing required field `version`"):
        Recording.of_parts(RecordingMeta("s", notes={"upstream": {"suite": "gaie"}})).note(NOTE)


def test_the_table_says_whose_judgement_it_is() -> None:
    shown = table(RESULTS)
    assert shown["rows"] == [["Good", "passed", 0.5, "SupportGateway"], ["Bad", "failed", None, ""]]
    assert shown["notes"] == ["judged by that suite and not by gpuassay; run by gpuassay"]
