"""Decorators for tests: what a test proves, what it needs, and which upstream defect it is known to meet."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from gpuassay.verdict import Behaviour, Level

Test = TypeVar("Test", bound=Callable[..., Any])


def behaviour(
    id: str, *, level: Level, spec: str, red_when: str, mutant: str = "", timed: bool = False
) -> Callable[[Test], Test]:
    """Declare the behaviour that a test proves (see `gpuassay.verdict.Behaviour`).

    The first line of the test's docstring is the behaviour as a sentence.

    Example:
        @behaviour("mine.queue.turn", level=MUST, spec="our handbook", red_when="a job that waits is forgotten")
        def test_turn(two_jobs: KueueRecording) -> None:
            '''A job that waited is admitted when the quota is free again.'''
    """
    declared = Behaviour(id=id, level=level, spec=spec, red_when=red_when, mutant=mutant, timed=timed)

    def mark(test: Test) -> Test:
        return pytest.mark.behaviour(declared)(test)

    return mark


def known_defect(link: str, reason: str, *, shows: str, racy: bool = False) -> Callable[[Test], Test]:
    """Expect a failure as the upstream issue `link` says; passing is then a FAIL (the note is out of date).

    `shows` is a regular expression that the failure's message has to match (`re.search`); any other failure is a FAIL,
    for it is not this defect. A defect that is a race (`racy`) may not show, and passing is then a PASS.

    Example:
        @known_defect(
            "https://github.com/kubernetes-sigs/kueue/issues/1", "quota is given back before the pods end",
            shows="expected quota until the pods have ended",
        )
        @behaviour("mine.queue.kept", level=MUST, spec="our handbook", red_when="quota is free while pods run")
        def test_kept(...): ...
    """

    def mark(test: Test) -> Test:
        for one in defect_marks(link, reason, shows=shows, racy=racy):
            test = one(test)
        return test

    return mark


def defect_marks(link: str, reason: str, *, shows: str, racy: bool = False) -> list[pytest.MarkDecorator]:
    """The marks of `known_defect`, for tests of which only some variants have the defect.

    Raises:
        ValueError: `shows` matches any message, or is no regular expression.
    """
    try:
        if re.search(shows, ""):
            raise ValueError(f"known defect {link}: shows={shows!r} fits any failure; name what is seen of the defect")
    except re.error as error:
        raise ValueError(f"known defect {link}: shows={shows!r} is no regular expression: {error}") from None
    failing = pytest.mark.xfail(reason=f"{reason} ({link})", strict=not racy, raises=AssertionError)
    return [pytest.mark.known_defect(link, shows), failing]


def needs(*capabilities: str) -> Callable[[Test], Test]:
    """Skip by type where the cluster lacks a capability.

    Example:
        @needs("gate:PartialAdmission")
        @behaviour(...)
        def test_partial(...): ...
    """

    def mark(test: Test) -> Test:
        return pytest.mark.needs(*capabilities)(test)

    return mark
