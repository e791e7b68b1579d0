"""How a <testcase> ended: by its elements, at any depth, and by its attributes. The worst of what it says counts.

Sources: Surefire's schema of reports (flaky and rerun elements), GoogleTest (`status`, `result`), Ginkgo, PHPUnit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpuassay.record.junit import words
from gpuassay.record.junit.xml import LONGEST, Node, below
from gpuassay.record.upstream import Outcome

_WORST_FIRST = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.PASSED)
_FLAKY = frozenset({"flakyfailure", "flakyerror"})
"""A try that failed, of a test that passed in the end."""
_RERUN = frozenset({"rerunfailure", "rerunerror"})
"""A further try that failed, of a test that failed in the end."""
_BAD = (Outcome.FAILED, Outcome.ERROR)
_NOT_JUDGED = frozenset({"testcase", "properties", "property"})


@dataclass(frozen=True)
class Judged:
    """What a case says of itself.

    Attributes:
        outcome: the worst.
        message: in its words.
        bad: failures and errors that it tells of; some frameworks have several in one case, and count each.
        tries: further tries that it tells of: some frameworks count them as tests and as failures.
    """

    outcome: Outcome
    message: str
    bad: int = 0
    tries: int = 0


def judge(case: Node) -> Judged:
    """The outcome of a <testcase>. One that says nothing has passed: that is how JUnit XML tells it."""
    elements, attributes = list(_elements(case)), list(_attributes(case))
    tries = [node for node in _inner(case) if node.tag in _FLAKY | _RERUN]
    failed = [node for node in tries if node.tag in _RERUN]
    if failed and not any(outcome in _BAD for outcome, _ in (*elements, *attributes)):
        elements += [(Outcome.FAILED, text_of(node)) for node in failed]
    outcome = min((one for one, _ in (*elements, *attributes)), key=_WORST_FIRST.index, default=Outcome.PASSED)
    bad = sum(one in _BAD for one, _ in elements) or int(outcome in _BAD)
    if outcome is Outcome.PASSED:
        return Judged(outcome, _flaky(tries), 0, len(tries))
    own = any(one is outcome and text for one, text in elements)
    told = [] if own else [text for one, text in attributes if one is outcome]
    told += [text for _, text in sorted(elements, key=lambda one: _WORST_FIRST.index(one[0])) if text]
    return Judged(outcome, "\n".join(dict.fromkeys(told))[:LONGEST], bad, len(tries))


def _flaky(tries: list[Node]) -> str:
    if not tries:
        return ""
    words = "; ".join(text for text in map(text_of, tries) if text)
    return f"passed after {len(tries)} {'try' if len(tries) == 1 else 'tries'} that failed: {words}"[:LONGEST]


def text_of(node: Node) -> str:
    """What a result says: its message, its text, or else its type."""
    told = (node.get("message"), node.text, *(child.text for child in below(node)))
    return "\n".join(text for one in told if (text := one.strip())) or node.get("type")


def _elements(case: Node) -> Iterator[tuple[Outcome, str]]:
    for node in _inner(case):
        if outcome := words.of_element(node.tag, node.text):
            yield outcome, text_of(node) or ("" if node.tag in ("failure", "error", "skipped") else f"<{node.tag}>")
            continue
        told = [(key, node.get(key)) for key in words.ATTRIBUTES]
        if node.tag in words.ATTRIBUTES:
            told += [(node.tag, node.text), *((node.tag, node.get(key)) for key in ("value", "type", "name"))]
        for key, word in told:
            outcome = words.meaning(word) if word.strip() else None
            if outcome is None:
                continue
            if outcome in _BAD or node.tag in words.ATTRIBUTES:
                own = text_of(node) if node.text.strip() != word.strip() else node.get("message")
                yield outcome, own or f"the {key} of its <{node.tag}> is {word.strip()!r}"


def _inner(case: Node) -> Iterator[Node]:
    """The elements that tell of the case itself, and not of another one or of its surroundings."""
    for child in case.children:
        if child.tag in _NOT_JUDGED:
            continue
        yield child
        if child.tag not in _FLAKY | _RERUN and words.of_element(child.tag, child.text) is None:
            yield from _inner(child)


def _attributes(case: Node) -> Iterator[tuple[Outcome, str]]:
    for key in words.ATTRIBUTES:
        word = case.get(key).strip()
        if not word:
            continue
        outcome = words.meaning(word)
        if outcome is None:
            yield Outcome.ERROR, f"its {key} is {word!r}, a word that is not known here"
        elif outcome is not Outcome.PASSED:
            yield outcome, f"its {key} is {word!r}"
    for key, value in case.attributes.items():
        if outcome := words.flagged(key, value):
            yield outcome, f"its attribute {key} is {value!r}"
