"""The ledger: every declared behaviour ends in exactly one line of `verdicts.jsonl`.

Kept by the process that sees all reports (with pytest-xdist: the controller), from pytest's own reports, so that a
worker's death leaves a line too.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gpuassay.secrets import hide_known
from gpuassay.verdict import State, Verdict

PROPERTY = "gpuassay"
"""Name of the `user_properties` entry by which a worker hands findings to the ledger."""


@dataclass
class Ledger:
    """Collects what the reports say of each declared test."""

    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    ended: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def declare(self, declarations: list[dict[str, Any]]) -> None:
        """Enter declared tests; until a report comes they count as not run (ERROR)."""
        for one in declarations:
            if one["test"] not in self.verdicts:
                self.verdicts[one["test"]] = Verdict(
                    **one, state=State.ERROR, reason="not run: the run ended before its turn"
                )

    def take(self, report: pytest.TestReport) -> None:
        """Enter one report. The worst phase wins: a teardown error after a pass is an ERROR."""
        with self._lock:
            self._take(report)

    def _take(self, report: pytest.TestReport) -> None:
        verdict = self.verdicts.get(report.nodeid)
        if verdict is None:
            return
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        handed = next((value for key, value in report.user_properties if key == PROPERTY), None)
        found: dict[str, Any] = json.loads(handed) if isinstance(handed, str) else {}
        state, reason = _state(report, found)
        if report.when == "setup" and state is State.PASS:
            return  # only the call can pass
        if report.when == "teardown" and state is State.PASS:
            return
        verdict.state, verdict.reason = state.value, reason
        self.ended.add(report.nodeid)
        for key in ("measured", "interval", "threshold", "recordings", "link"):
            if found.get(key) is not None:
                setattr(verdict, key, found[key])

    def lines(self, *, so_far: bool = False) -> list[dict[str, Any]]:
        """All verdicts, sorted by behaviour id and test; `so_far`: only those of tests that have ended."""
        found = (one for one in self.verdicts.values() if not so_far or one.test in self.ended)
        return [one.to_json() for one in sorted(found, key=lambda one: (one.behaviour, one.test))]

    def write(self, run_dir: Path, *, so_far: bool = False) -> None:
        """Write `verdicts.jsonl` and `durations.jsonl`, each in one step."""
        with self._lock:
            lines = self.lines(so_far=so_far)
            times = [{"test": test, "seconds": round(took, 3)} for test, took in sorted(self.seconds.items())]
        for name, rows in (("verdicts.jsonl", lines), ("durations.jsonl", times)):
            draft = run_dir / f".{name}.new"
            draft.write_text(hide_known("".join(json.dumps(row) + "\n" for row in rows)))
            draft.replace(run_dir / name)


def _state(report: pytest.TestReport, found: dict[str, Any]) -> tuple[State, str]:
    """State and reason of one phase's report; `found` is what the process that ran it handed over."""
    if "state" in found and found.get("phase") == report.when:
        return State(found["state"]), str(found.get("reason", ""))
    if report.passed:
        return State.PASS, ""
    if report.skipped:
        return State.SKIP, _skip_reason(report)
    # no hand-over: the worker died, or the test broke outside of its own code
    return State.ERROR, str(report.longrepr)[:4000]


def _skip_reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    return str(where[2]).removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)
