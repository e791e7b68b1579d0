"""What the words mean with which test frameworks say how a test ended."""

from __future__ import annotations

import re

from gpuassay.record.upstream import Outcome

_WORDS = {
    Outcome.PASSED: """pass passed passes ok okay success successful succeeded run ran completed complete done finished
        executed expected fixed flaky flake green passedonretry""",
    Outcome.FAILED: """fail fails failed failure failing ko nok notok unsuccessful regression unexpected
        unexpectedsuccess red failedonretry refuted rejected nonconformant""",
    Outcome.ERROR: """error errors errored broken broke timedout timeout interrupted abort aborted panic panicked crash
        crashed cancel canceled cancelled killed terminated undefined ambiguous unknown unstable warning risky
        exception invalid incompleterun lost running started unresolved""",
    Outcome.SKIPPED: """skip skipped skipping notrun notexecuted notstarted ignore ignored disabled pending suppressed
        todo incomplete inconclusive untested filtered deselected excluded omitted notapplicable na xfail xfailed
        expectedfailure blocked assumptionfailed assumptionfailure unsupported untried quarantined notselected""",
}
_MEANING = {word: outcome for outcome, words in _WORDS.items() for word in words.split()}

_CONTAINERS = frozenset({"errors", "fails"})
_SETTINGS = frozenset({"timeout"})
"""Elements that say how a test ended, unless a number stands in them: then it is what the test was given."""

FLAGS = {
    "failed": Outcome.FAILED,
    "failure": Outcome.FAILED,
    "failures": Outcome.FAILED,
    **dict.fromkeys(("error", "errors", "aborted", "broken", "cancelled", "crashed", "interrupted"), Outcome.ERROR),
    **dict.fromkeys(("timedout", "timed-out", "timed_out"), Outcome.ERROR),
    "skipped": Outcome.SKIPPED,
    "ignored": Outcome.SKIPPED,
    "disabled": Outcome.SKIPPED,
    "pending": Outcome.SKIPPED,
}
"""Attributes that say so by `true`, or by a count above 0."""
DENIALS = {
    "success": Outcome.FAILED,
    "successful": Outcome.FAILED,
    "passed": Outcome.FAILED,
    "executed": Outcome.SKIPPED,
    "enabled": Outcome.SKIPPED,
    "run": Outcome.SKIPPED,
}
"""Attributes that say so by `false`, or by 0."""

TRUE = ("true", "yes")
ATTRIBUTES = ("status", "result", "outcome", "state", "verdict")
"""Attributes and elements whose value is such a word."""


def meaning(word: str) -> Outcome | None:
    """The outcome that `word` stands for, None where it is none that is known."""
    return _MEANING.get(re.sub(r"[^a-z]", "", word.lower()))


def flagged(name: str, value: str) -> Outcome | None:
    """What an attribute says that is true, false or a count."""
    said = value.strip().lower()
    if name in FLAGS and (said in TRUE or (said.isdecimal() and int(said[:9]) > 0)):
        return FLAGS[name]
    if name in DENIALS and said in ("false", "no", "0"):
        return DENIALS[name]
    return None


def of_element(tag: str, text: str) -> Outcome | None:
    """How a test ended of which an element <tag> is told; None where that is no result."""
    outcome = None if tag in _CONTAINERS else meaning(tag)
    if outcome is Outcome.PASSED or (tag in _SETTINGS and text.strip()[:1].isdigit()):
        return None
    # PHPUnit's up to 9, of a test that could not be judged, is <warning>; <skipped>false</skipped> is no result
    return None if outcome is Outcome.SKIPPED and text.strip().lower() in ("false", "no", "0") else outcome
