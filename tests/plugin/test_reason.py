"""What the reason of a failure says first."""

from __future__ import annotations

from gpuassay.refutation import sentence_of
from gpuassay.session.outcome import reason_of, refuted_reason

TIMELINE = "        0 ms + Node n: Ready=True\n       53 ms + Pod p: phase=Pending"
RENDERED = "\nassert ['a lo...hile'] == []\n  \n  Left contains one more item: 'a lost b for a while'\n  Use -v"


def test_a_reason_holds_no_address() -> None:
    """Red when two replays of one recording give different reasons."""
    assert reason_of("AssertionError: left: x at 0x7f00 of it") == "left: x of it"


def test_a_message_of_the_test_is_the_sentence_and_the_rest_comes_after_it() -> None:
    """Red when pytest's own rendering stands before what the test says, or the timeline is lost."""
    told = refuted_reason(AssertionError("left over: one pod\n" + TIMELINE + RENDERED)).split("\n")
    assert told[0] == "left over: one pod"
    assert [line.split() for line in told[1:3]] == [line.split() for line in TIMELINE.split("\n")]
    assert told[3] == "assert ['a lo...hile'] == []"


def test_a_bare_timeline_comes_after_what_was_wrong() -> None:
    """Red when the first line of a finding is an event that has nothing to do with it."""
    told = refuted_reason(AssertionError(TIMELINE + RENDERED)).split("\n")
    assert told[0] == "a lost b for a while"
    assert [line.split() for line in told[1:3]] == [line.split() for line in TIMELINE.split("\n")]


def test_reasons_of_older_runs_become_sentences() -> None:
    """Red when the report of a stored run still begins with pytest's rendering."""
    assert sentence_of("a lost b\n" + TIMELINE) == "a lost b"
    assert sentence_of("assert ['a lo...hile'] == []" + RENDERED.split("[]", 1)[1]) == "a lost b for a while"
    assert (
        sentence_of("assert not ['#0: expected one, seen two', '#1: exp...']\n +  where")
        == "#0: expected one, seen two (and more)"
    )
    assert sentence_of("") == ""
