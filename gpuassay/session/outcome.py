"""How a test has ended, in the words of a verdict: state, reason, figures, recordings; they go into its report."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gpuassay.record.recording import Recording
from gpuassay.secrets import hide
from gpuassay.session.ledger import PROPERTY
from gpuassay.session.measure import Measure
from gpuassay.verdict import Inconclusive, State

MEASURE = pytest.StashKey[Measure]()
"""Figures of a test."""
RECORDINGS = pytest.StashKey[list[Recording]]()
"""What a test has judged."""

LONGEST = 20_000
"""Characters of a reason: thirty lines of a dead component's log fit in."""

BARE_TIMELINE = re.compile(r"\s*-?\d+ ms ")
"""How a line of `Recording.timeline_text` begins."""


def recordings_of(item: pytest.Item) -> list[Recording]:
    """The recordings that a test has judged so far."""
    none: list[Recording] = []
    return item.stash.get(RECORDINGS, none)


def enter(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put state, reason and figures into a test's report, where the ledger finds them; INCONCLUSIVE is no failure."""
    found: dict[str, Any] = {"phase": report.when}
    error = call.excinfo.value if call.excinfo else None
    defect = item.get_closest_marker("known_defect")
    if isinstance(error, Inconclusive):
        found |= {"state": State.INCONCLUSIVE.value, "reason": str(error)}
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.reportinfo()[1] or 0, f"INCONCLUSIVE: {error}")
    elif hasattr(report, "wasxfail") and report.skipped:
        found |= {"state": State.KNOWN_DEFECT.value, "reason": str(report.wasxfail).removeprefix("reason: ")}
    elif report.failed:
        is_finding = report.when == "call" and (
            error is None or isinstance(error, AssertionError | pytest.fail.Exception)
        )
        state = State.FAIL if is_finding else State.ERROR
        message = str(report.longrepr) if error is None else f"{type(error).__name__}: {error}"
        found |= {"state": state.value, "reason": reason_of(message)}
    origin = next((one.recorded for one in recordings_of(item) if one.recorded), None)
    if origin is not None and report.when == "call":
        state = State(found.get("state", State.PASS)).recorded
        reason = "; ".join(filter(None, (str(origin), found.get("reason", ""))))
        found |= {"state": state.value, "reason": reason}
        if state is State.PASS_RECORDED:  # nothing ran here: no program that reads pytest's results counts it as passed
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.reportinfo()[1] or 0, f"{state}: {reason}")
    if defect is not None:
        found["link"] = defect.args[0]
    measure = item.stash.get(MEASURE, None)
    if measure is not None:
        found |= {"measured": measure.values, "interval": measure.bounds, "threshold": measure.limit}
    found["recordings"] = [recording.name for recording in recordings_of(item)]
    report.user_properties.append((PROPERTY, json.dumps(found)))


def refuse_another_failure(refuted: BaseException, link: str, shows: str) -> None:
    """Nothing where a failure shows the known defect that was expected.

    Raises:
        pytest.fail.Exception: it fails in another way, and the known defect excuses only itself.
    """
    if not re.search(shows, str(refuted)):
        told = reason_of(str(refuted))
        pytest.fail(f"not the known defect {link}, which shows as {shows!r}: {told}", pytrace=False)


def reason_of(message: str) -> str:
    """An exception's message as a reason: equal for equal recordings, so without addresses.

    pytest appends its own rendering of the assertion to a message that the test gave; the message alone is the reason.
    A bare timeline says what happened and not what was wrong: there the rendering comes first.
    """
    told = message.removeprefix("AssertionError: ").removeprefix("Failed: ")
    given, marker, rendered = told.partition("\nassert ")
    if marker and given:
        lines = [line.strip() for line in rendered.splitlines() if line.strip() and "Use -v" not in line]
        told = f"expected {'; '.join(lines)}\n{given}" if BARE_TIMELINE.match(given) else given
    return re.sub(r" at 0x[0-9a-f]+", "", hide(told))[:LONGEST]
