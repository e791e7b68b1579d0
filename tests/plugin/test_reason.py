"""What the reason of a failure says first."""

from __future__ import annotations

from gpuassay.session.outcome import reason_of

TIMELINE = "        0 ms + Node n: Ready=True\n       53 ms + Pod p: phase=Pending"
RENDERED = "\nassert ['a lo...hile'] == []\n  \n  Left contains one more item: 'a lost b'\n  Use -v to get more diff"


def test_a_message_of_the_test_is_the_reason() -> None:
    """Red when pytest's own rendering, or an address, gets into a reason that the test gave."""
    assert reason_of("AssertionError: left: x at 0x7f00\n" + TIMELINE + RENDERED) == f"left: x\n{TIMELINE}"


def test_a_bare_timeline_comes_after_what_was_wrong() -> None:
    """Red when the first line of a finding is an event that has nothing to do with it."""
    told = reason_of("AssertionError: " + TIMELINE + RENDERED)
    assert told == f"expected ['a lo...hile'] == []; Left contains one more item: 'a lost b'\n{TIMELINE}"
