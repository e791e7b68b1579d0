"""What suites say of themselves, beside their cases: failures of their own, and counts that their cases must add up to.

A suite that counts more failures, skips or tests than it tells of has not passed, whatever its cases say. One that
counts fewer is let be: several frameworks leave out what they repeat. Source of Ginkgo's properties: its package
reporters, junit_report.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpuassay.record.junit import words
from gpuassay.record.junit.cases import Judged, text_of
from gpuassay.record.junit.numbers import count
from gpuassay.record.junit.xml import Node
from gpuassay.record.upstream import Outcome

SUITES = ("testsuites", "testsuite")
_TESTS = ("tests",)
_FAILURES = ("failures", "failed", "failure")
_ERRORS = ("errors", "error", "aborted", "broken", "crashed", "interrupted", "timedout", "timeouts")
_SKIPPED = ("skipped", "skips", "disabled", "ignored", "pending", "notrun", "not-run", "incomplete", "inconclusive")
_BAD = (Outcome.FAILED, Outcome.ERROR)


@dataclass(frozen=True)
class Finding:
    """What a suite says beyond its cases.

    Attributes:
        suite: its name.
        package: which it belongs to, where that is told.
        what: the part that is meant.
        outcome: how that ended.
        message: in the suite's words, or about its counts.
        counted: it follows from counts alone.
    """

    suite: str
    package: str
    what: str
    outcome: Outcome
    message: str
    counted: bool = False


@dataclass
class _Tally:
    """What has been told of within a suite; `hidden_*`: what inner suites only count.

    `of_runs`: all cases are marked as Catch2 and doctest mark theirs.
    """

    tests: int = 0
    bad: int = 0
    skipped: int = 0
    tries: int = 0
    asserted: int = 0
    of_runs: bool = True
    hidden_tests: int = 0
    hidden_bad: int = 0
    hidden_skipped: int = 0
    found: list[Finding] = field(default_factory=list[Finding])

    def add(self, other: _Tally) -> None:
        for name in ("tests", "bad", "skipped", "tries", "asserted", "hidden_tests", "hidden_bad", "hidden_skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.of_runs &= other.of_runs
        self.found += other.found


def findings(root: Node, judged: Mapping[int, Judged]) -> list[Finding]:
    """What the suites of a document say beyond their cases; `judged` has the cases by the `id` of their element."""
    return _suite(root, judged).found


def name_of(suite: Node) -> str:
    """How a suite is called."""
    return " ".join((suite.get("name") or suite.get("package")).split()) or (
        "a suite" if suite.tag == "testsuite" else "all suites"
    )


def _suite(suite: Node, judged: Mapping[int, Judged]) -> _Tally:
    tally = _Tally()
    for part in _parts(suite):
        if part.tag in SUITES:
            tally.add(_suite(part, judged))
        elif part.tag == "testcase":
            _count_case(part, judged, tally)
        elif outcome := words.of_element(part.tag, part.text):
            if outcome is Outcome.SKIPPED:
                tally.hidden_skipped += _declared(suite, _SKIPPED)  # told of as a whole
            else:
                tally.bad += 1
            message = text_of(part) or f"<{part.tag}> without a word"
            tally.found.append(Finding(name_of(suite), suite.get("package"), "the suite itself", outcome, message))
    tally.found += _of_its_own(suite, tally)
    tally.found += _counted(suite, tally)
    return tally


def _parts(suite: Node) -> Iterator[Node]:
    """Suites, cases and results directly below; elements in between that are none of these are looked through."""
    for child in suite.children:
        if child.tag in (*SUITES, "testcase") or words.of_element(child.tag, child.text):
            yield child
        elif child.tag not in ("properties", "property"):
            yield from _parts(child)


def _count_case(case: Node, judged: Mapping[int, Judged], tally: _Tally) -> None:
    told = judged[id(case)]
    tally.tests += 1
    tally.bad += told.bad
    tally.skipped += told.outcome is Outcome.SKIPPED
    tally.tries += told.tries
    tally.asserted += count(case.get("assertions")) or 0
    tally.of_runs &= case.get("status") == "run" and not case.get("result") and not case.get("duration")
    for inner in _parts(case):  # a case within a case
        if inner.tag == "testcase":
            _count_case(inner, judged, tally)


def _of_its_own(suite: Node, tally: _Tally) -> Iterator[Finding]:
    """The suite's own status, and Ginkgo's word about it."""
    own: list[str] = []
    for key in words.ATTRIBUTES:
        word = suite.get(key).strip()
        if word and words.meaning(word) in _BAD:
            own.append(f"its {key} is {word!r}")
    for key, value in suite.attributes.items():
        plain = key in words.DENIALS or value.strip().lower() in words.TRUE  # the others are counts
        if plain and words.flagged(key, value) in _BAD:
            own.append(f"its attribute {key} is {value!r}")
    told = {
        one.get("name"): (one.get("value") or one.text).strip()
        for child in suite.children
        if child.tag == "properties"
        for one in child.children
    }
    failed = told.get("SuiteSucceeded", "").lower() == "false"
    reason = told.get("SpecialSuiteFailureReason", "")
    if failed:
        own.append("Ginkgo says that the suite did not succeed")
    special = bool(reason) and told.get("SuiteSucceeded", "").lower() != "true"
    if special or (own and not tally.bad + tally.hidden_bad):
        tally.hidden_bad += 1
        message = "; ".join([*own, reason or "none of its cases says so"])
        yield Finding(name_of(suite), suite.get("package"), "the suite itself", Outcome.ERROR, message)


def _counted(suite: Node, tally: _Tally) -> Iterator[Finding]:
    """What its counts have and its cases have not."""
    tests = _declared(suite, _TESTS)
    failures, errors = _declared(suite, _FAILURES), _declared(suite, _ERRORS)
    skipped = _declared(suite, _SKIPPED)
    if tests == tally.asserted or (tally.of_runs and tally.tests and not suite.get("disabled")):
        tests = 0  # a count of assertions: of Nightwatch, or of Catch2 and doctest
    missing = max(0, tests - tally.tests - tally.tries - tally.hidden_tests)
    bad = max(0, failures + errors - tally.bad - tally.tries - tally.hidden_bad)
    left_out = max(0, skipped - tally.skipped - tally.hidden_skipped)
    tally.hidden_tests += missing
    tally.hidden_bad += bad
    tally.hidden_skipped += left_out
    said: list[str] = []
    if missing:
        said.append(f"it says that it has {tests} tests and tells of {tests - missing}")
    if bad:
        told = failures + errors - bad
        said.append(f"it counts {failures} failures and {errors} errors, and tells of {told} of them")
    if left_out:
        said.append(f"it counts {skipped} tests that were not run, and tells of {skipped - left_out} of them")
    if said:
        outcome = Outcome.SKIPPED if missing and missing == left_out and not bad else Outcome.ERROR
        yield Finding(name_of(suite), suite.get("package"), "the rest", outcome, "; ".join(said), counted=True)


def _declared(suite: Node, names: tuple[str, ...]) -> int:
    """The largest of the counts of these names: some frameworks write one count under two."""
    return max((count(suite.get(name)) or 0 for name in names), default=0)
