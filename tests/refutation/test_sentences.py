"""Each shape of assertion that suites use, failing for real: its sentence says what was expected and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpuassay.refutation import Told, refutation

LINES = [f"#{i} stream{i:02d}: expected pod-{i}, seen pod-{i + 1}" for i in range(12)]
TIMELINE = "   12 ms + Pod a: phase=Pending\n   13 ms + Pod a: phase=Running"
MANY = {f"pod-{i}": i for i in range(30)}


def findings() -> list[str]:
    return list(LINES)


class Recording:
    accepted = True

    def __init__(self) -> None:
        self.final = {"status": {"phase": "Pending"}}

    def observed(self, what: str) -> bool:
        return not what


def list_that_should_be_empty() -> None:
    assert findings() == [], TIMELINE


def negated_call() -> None:
    assert not findings()


def negated_sum() -> None:
    assert not findings()[:1] + findings()[1:2]


def negated_list() -> None:
    rows = [429, 200]
    assert not [row for row in rows if row != 429], f"{rows}"


def negated_mapping() -> None:
    left: dict[str, int] = {"a": 1}
    assert not left


def negated_flag() -> None:
    assert not Recording().accepted, "gaie"


def list_and_literal() -> None:
    seen = ["running", "small"]
    assert seen == ["running"], TIMELINE


def literal_first() -> None:
    assert 3 == len(findings())  # noqa: SIM300 - the other way round


def long_lists() -> None:
    seen = [f"job-{i}" for i in range(40)]
    expected = [*seen[:7], "job-99", *seen[8:]]
    assert seen == expected


def longer_list() -> None:
    expected = [f"job-{i}" for i in range(40)]
    seen = [*expected, "job-40"]
    assert seen == expected


def mappings() -> None:
    seen, expected = MANY, MANY | {"pod-7": 9, "other": 1}
    assert seen == expected


def sets() -> None:
    seen = set(MANY)
    assert seen == {*MANY, "another"} - {"pod-3"}


def subset() -> None:
    seen = set(MANY)
    assert {"pod-1", "another"} <= seen


def constant() -> None:
    reason: Any = None
    assert reason == "Unschedulable"


def attribute() -> None:
    attempt = Recording()
    assert attempt.final["status"]["phase"] == "Failed", TIMELINE


def bound() -> None:
    seconds = 12.3456
    assert seconds <= 10, f"{seconds:.1f} s"


def chain() -> None:
    low, high, rate = 1, 2, 5
    assert low <= rate <= high, rate


def membership() -> None:
    assert "next" in {"a", "b"}


def absence() -> None:
    told = "all that was said"
    assert "was" not in told


def existence() -> None:
    started: Any = None
    assert started is not None


def none() -> None:
    node: Any = "node-1"
    assert node is None


def inequality() -> None:
    own = given = "ab"
    assert own != given


def conjunction() -> None:
    half, told = [1], findings()
    assert half and told and "next" in half


def disjunction() -> None:
    assert not findings() or not findings()[1:]


def observation() -> None:
    assert Recording().observed("the slice is given out"), TIMELINE


def every() -> None:
    assert all(at > 1 for at in [1, 2])


def bare() -> None:
    waiting: list[str] = []
    assert waiting


def message() -> None:
    seen = 5
    assert seen == 4, f"expected 4 pods, seen {seen}\n{TIMELINE}"


def many_lines() -> None:
    assert not findings(), "\n".join(findings())


def raised() -> None:
    with pytest.raises(ValueError, match="quota"):
        pass


def other_message() -> None:
    with pytest.raises(ValueError, match="quota"):
        raise ValueError("no such queue")


def failed() -> None:
    pytest.fail("invariant: a does not hold\ninvariant: b does not hold", pytrace=False)


def own_error() -> None:
    raise AssertionError("expected orders of creation to judge, seen 0")


def silent() -> None:
    raise AssertionError


SENTENCES: list[tuple[Callable[[], None], str]] = [
    (list_that_should_be_empty, "#0 stream00: expected pod-0, seen pod-1 (and 11 more)"),
    (negated_call, "#0 stream00: expected pod-0, seen pod-1 (and 11 more)"),
    (negated_sum, "#0 stream00: expected pod-0, seen pod-1 (and 1 more)"),
    (negated_list, "expected none, seen 1: 200"),
    (negated_mapping, "expected none, seen 1: a: 1"),
    (negated_flag, "gaie: expected not to hold, and does: Recording().accepted"),
    (list_and_literal, "expected ['running'], seen ['running', 'small']"),
    (literal_first, "len(findings()): expected 3, seen 12"),
    (long_lists, "at place 8 of 40: expected 'job-99', seen 'job-7'"),
    (longer_list, "expected 40, seen 41; too many: job-40"),
    (mappings, "for pod-7: expected 9, seen 7; expected and not seen: other"),
    (sets, "expected and not seen: another; seen and not expected: pod-3"),
    (subset, "expected and not seen: {'another'}; seen {"),
    (constant, "reason: expected 'Unschedulable', seen none"),
    (attribute, "attempt.final['status']['phase']: expected 'Failed', seen 'Pending'"),
    (bound, "12.3 s: seconds: expected at most 10, seen 12.3456"),
    (chain, "expected at most 2, seen 5"),
    (membership, "expected 'next' among {'a', 'b'}"),
    (absence, "expected no 'was', seen it in 'all that was said'"),
    (existence, "expected started, seen none"),
    (none, "node: expected none, seen 'node-1'"),
    (inequality, "own: expected anything but 'ab', seen just that"),
    (conjunction, "expected 'next' among [1]"),
    (disjunction, "expected one of these to hold: not findings() or not findings()[1:]"),
    (observation, "expected to be observed, and was not: the slice is given out"),
    (every, "expected to hold for all, and does not: (at > 1 for at in [1, 2])"),
    (bare, "expected waiting, seen nothing"),
    (message, "expected 4 pods, seen 5"),
    (many_lines, "#0 stream00: expected pod-0, seen pod-1"),
    (raised, "expected ValueError to be raised, nothing was"),
    (other_message, "expected a message that matches 'quota', seen 'no such queue'"),
    (failed, "invariant: a does not hold"),
    (own_error, "expected orders of creation to judge, seen 0"),
    (silent, "an assertion that gives no reason"),
]


def told(act: Callable[[], None]) -> tuple[Told, Told]:
    """What is told with and without the place where it failed."""
    try:
        act()
    except (AssertionError, pytest.fail.Exception) as error:
        return refutation(str(error), error.__traceback__), refutation(str(error))
    raise ValueError("it did not fail")


@pytest.mark.parametrize(("act", "sentence"), SENTENCES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_failed_assertion_is_a_sentence(act: Callable[[], None], sentence: str) -> None:
    """Red when a reader has to take pytest's rendering apart to know what was expected and what was seen."""
    found = told(act)[0].sentence
    assert found.startswith(sentence) if sentence.endswith("{") else found == sentence
    assert "\n" not in found
    assert "assert " not in found
    assert "+ where" not in found


@pytest.mark.parametrize("act", [act for act, _ in SENTENCES], ids=lambda one: one.__name__)
def test_without_the_place_it_is_a_sentence_all_the_same(act: Callable[[], None]) -> None:
    """Red when the reason of an older run, which has only pytest's text, is shown as it is."""
    found = told(act)[1].sentence
    assert "\n" not in found
    assert not found.startswith(("assert ", "[", "{"))


def test_everything_else_is_kept_below() -> None:
    """Red when the timeline, what is behind the first finding, or the place of the assertion is lost."""
    detail = told(list_that_should_be_empty)[0].detail.split("\n")
    assert [line.strip() for line in TIMELINE.split("\n")] == [line.strip() for line in detail[:2]]
    assert any(line.startswith("assert ['#0 st") for line in detail)
    assert detail[-1].startswith("at tests/refutation/test_sentences.py:")
    assert told(many_lines)[0].detail.split("\n")[:11] == LINES[1:]
    assert told(failed)[0].detail.split("\n")[0] == "invariant: b does not hold"


def test_a_long_message_is_cut_in_the_sentence_and_whole_below() -> None:
    """Red when the sentence is a page, or its end is lost."""
    whole = "the pods " + "and more pods " * 100 + "did not start"
    found = refutation(whole)
    assert len(found.sentence) <= 500
    assert found.detail == whole


def test_no_order_of_a_set_and_no_address_gets_into_a_sentence() -> None:
    """Red when two processes tell the same failure in different words."""
    anything = object()

    def act() -> None:
        seen = {"b", "a", "c"}
        assert (seen, anything) == ({"d"}, anything)

    assert told(act)[0].sentence == "expected ({'d'}, <object object>), seen ({'a', 'b', 'c'}, <object object>)"
