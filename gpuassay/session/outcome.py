"""How a test has ended, in the words of a verdict: state, reason, figures, recordings; they go into its report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.record.recording import Recording
from gpuassay.refutation import Told, refutation
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
        if is_finding and error is not None:
            reason = refuted_reason(error, recordings_of(item))
            _head_with(report, reason.split("\n", 1)[0])
        else:
            reason = reason_of(str(report.longrepr) if error is None else f"{type(error).__name__}: {error}")
        found |= {"state": state.value, "reason": reason}
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
        told = refuted_reason(refuted)
        pytest.fail(f"not the known defect {link}, which shows as {shows!r}: {told}", pytrace=False)


def refuted_reason(error: BaseException, recordings: Sequence[Recording] = ()) -> str:
    """Why a behaviour is refuted: a sentence (expected, seen, where), below it what else is known.

    Equal for equal recordings: a replay gives the same.
    """
    told = refutation(str(error), error.__traceback__)
    names = [one.name for one in recordings]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    where = f" (recording {names[0]}{more})" if names and names[0] not in told.sentence else ""
    return reason_of(Told(told.sentence + where, told.detail).text)


def reason_of(message: str) -> str:
    """An exception's message as a reason: equal for equal recordings, so without addresses."""
    told = message.removeprefix("AssertionError: ").removeprefix("Failed: ")
    return re.sub(r" at 0x[0-9a-f]+", "", hide(told))[:LONGEST]


def _head_with(report: pytest.TestReport, sentence: str) -> None:
    """Let pytest's own outlets (junit.xml, the short summary) begin with the sentence."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = sentence
