from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.record import junit
from gpuassay.record.upstream import Case, Outcome


def _file(folder: Path, text: str) -> Path:
    file = folder / "junit.xml"
    file.write_text(text)
    return file


def test_what_pytest_wrote_is_read_case_by_case(tmp_path: Path) -> None:
    """Red when an outcome, a message or a time of a case is lost or changed."""
    text = """<testsuites><testsuite name="pytest" tests="4">
        <testcase classname="a.b" name="holds" time="1.25"/>
        <testcase classname="a.b" name="fails" time="0.5"><failure message="no">line 7</failure></testcase>
        <testcase classname="a.b" name="breaks"><error message="set-up"/></testcase>
        <testcase classname="a.b" name="left out"><skipped message="no GPU"/></testcase>
        </testsuite></testsuites>"""
    assert junit.read(_file(tmp_path, text)) == [
        Case("holds", Outcome.PASSED, "", 1.25),
        Case("fails", Outcome.FAILED, "no\nline 7", 0.5),
        Case("breaks", Outcome.ERROR, "set-up"),
        Case("left out", Outcome.SKIPPED, "no GPU"),
    ]


@pytest.mark.parametrize("status", ["notrun", "skipped", "pending"])
def test_a_case_that_was_not_run_has_not_passed(tmp_path: Path, status: str) -> None:
    """Red when a case without a failure counts as passed although its status says that it was not run."""
    text = f'<testsuite tests="1"><testcase name="x" status="{status}"/></testsuite>'
    [case] = junit.read(_file(tmp_path, text))
    assert case.outcome is Outcome.SKIPPED


def test_cases_of_one_name_are_told_apart_by_their_classes(tmp_path: Path) -> None:
    """Red when one of two cases hides the other, or names that are clear become longer."""
    names = "".join(f'<testcase classname="{of}" name="{name}"/>' for of, name in ("ax", "bx", "by"))
    found = junit.read(_file(tmp_path, f"<testsuite>{names}</testsuite>"))
    assert [one.name for one in found] == ["a.x", "b.x", "y"]


def test_tests_that_a_suite_has_and_does_not_tell_of_are_an_error(tmp_path: Path) -> None:
    """Red when a report that was cut off between two cases reads as if all had been told."""
    found = junit.read(_file(tmp_path, '<testsuite name="e2e" tests="3"><testcase name="x"/></testsuite>'))
    assert found[1:] == [Case("e2e: the rest", Outcome.ERROR, "it says that it has 3 tests and tells of 1")]
