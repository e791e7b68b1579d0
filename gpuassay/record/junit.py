"""Reads JUnit XML of any suite: its cases, by its own names and in its own judgement.

There is no standard; this is what Surefire, pytest, Ginkgo, gotestsum and GoogleTest have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from gpuassay.record.upstream import Case, Outcome

_TOLD = {"failure": Outcome.FAILED, "error": Outcome.ERROR, "skipped": Outcome.SKIPPED}
_NOT_RUN = frozenset({"notrun", "skipped", "pending"})
"""Values of `status` with which GoogleTest and Ginkgo mark cases that were not run."""
LONGEST = 4000
"""Characters of a message that are kept."""


class JUnitError(Exception):
    """A file is no JUnit XML, or tells nothing; the message is one line."""

    exit_code = 2


def read(file: Path) -> list[Case]:
    """The cases of a file, in its order.

    A suite that says it has more tests than the file tells of gets a case of outcome ERROR for those that are missing.

    Raises:
        JUnitError: it cannot be read, is no JUnit XML, has no case, or has two cases of one name.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as error:
        raise JUnitError(f"{file} cannot be read: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise JUnitError(f"{file} is no XML, or was cut off: {error}") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise JUnitError(f"{file} is no JUnit XML: it begins with <{root.tag}>, not with <testsuites>")
    found = list(root.iter("testcase"))
    if not found:
        raise JUnitError(f"{file} has no test case: whatever wrote it has run nothing")
    plain = Counter(one.get("name", "") for one in found)
    cases = [_case(one, qualified=plain[one.get("name", "")] > 1) for one in found]
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise JUnitError(f"{file} has {twice[0]!r} more than once: which result counts cannot be told")
    return [*cases, *_missing(root)]


def _case(told: Element, *, qualified: bool) -> Case:
    name = told.get("name", "")
    if qualified:
        name = f"{told.get('classname', '')}.{name}"
    seconds = _number(told.get("time"))
    for tag, outcome in _TOLD.items():
        if (child := told.find(tag)) is not None:
            words = f"{child.get('message') or ''}\n{child.text or ''}".strip()
            return Case(name, outcome, words[:LONGEST], seconds)
    outcome = Outcome.SKIPPED if told.get("status", "").lower() in _NOT_RUN else Outcome.PASSED
    return Case(name, outcome, "", seconds)


def _missing(root: Element) -> Iterator[Case]:
    for suite in root.iter("testsuite"):
        declared, told = _number(suite.get("tests")), len(list(suite.iter("testcase")))
        if declared is not None and told < declared:
            yield Case(
                f"{suite.get('name', 'a suite')}: the rest", Outcome.ERROR,
                f"it says that it has {declared:g} tests and tells of {told}",
            )  # fmt: skip


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None
