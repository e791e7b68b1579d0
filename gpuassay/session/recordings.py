"""The recording that a test asks for: of this run, of the one that is replayed, or one that comes with the library."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuassay.engine.engine import read_status
from gpuassay.record import bundled
from gpuassay.record.pack import judged_recordings
from gpuassay.record.recording import Recording
from gpuassay.record.rows import UnusableError
from gpuassay.scenarios.declare import Scenario
from gpuassay.system import get
from gpuassay.waiting import wait

PATIENCE = 1800.0
"""Seconds a test waits for its scenario; each wait inside a scenario has its own, shorter deadline."""


@dataclass
class Recordings:
    """The recordings of one run, each loaded once per process.

    Attributes:
        directory: the run directory.
        replay: directory of the stored run that is judged again, or None for a live run.
        bundled: judge what cannot be acted out here from recordings that come with the library.
        engine_ended: why nothing more will be recorded, as the engine of this process knows; None while it works, and
            where it works in another process.
        meanwhile: called again and again while a test waits.
    """

    directory: Path
    replay: Path | None
    bundled: bool
    engine_ended: Callable[[], str | None]
    meanwhile: Callable[[], None]
    _loaded: dict[str, Recording] = field(default_factory=dict[str, Recording])
    _judged: frozenset[str] | None = None
    """Names of the recordings that the replayed run judged, once somebody asked."""

    def of(self, scenario: Scenario) -> Recording:
        """The recording of a scenario; waits for it in a live run.

        Raises:
            UnusableError: what is stored cannot be judged.
        """
        if scenario.id not in self._loaded:
            found = self._stored(scenario, self.replay) if self.replay is not None else self._live(scenario)
            found.system = scenario.system
            self._loaded[scenario.id] = found
        return self._loaded[scenario.id]

    def _stored(self, scenario: Scenario, run: Path) -> Recording:
        place = run / "recordings" / scenario.id
        if not place.exists():
            self._refuse_a_gap(run, scenario)
            pytest.skip(f"not part of the replayed run: scenario {scenario.id}")
        return get(scenario.system).recording.load(place).require_known().require_of(scenario.id)

    def _refuse_a_gap(self, run: Path, scenario: Scenario) -> None:
        """A stored run need not have acted out everything; what it has judged must be there.

        Raises:
            UnusableError: the run judged that scenario, or nothing tells what it judged.
        """
        if self._judged is None:
            self._judged = judged_recordings(run)
        if scenario.id in self._judged:
            raise UnusableError(f"{run}: recording {scenario.id} is missing: the run judged it, now it is not there")

    def _live(self, scenario: Scenario) -> Recording:
        place = self.directory / "recordings" / scenario.id
        self._wait(scenario, place / "recording.json")
        kind = get(scenario.system).recording
        live = kind.load(place).require_of(scenario.id)
        if live.meta.outcome != "skip" or not self.bundled:
            return live
        found = bundled.find(get(scenario.system).recorded, scenario.id)
        if found is None:
            return live
        kept = kind.load(found[0]).require_known().require_of(scenario.id)
        kept.recorded = found[1]
        return kept

    def _wait(self, scenario: Scenario, written: Path) -> None:
        """Wait until the scenario has been acted out, or cannot be any more."""
        while read_status(self.directory)[0] == "building" and not written.exists():
            self._pause(0.2)  # a build takes what it takes; what is missing then is told by the engine

        def broken(_: object) -> str | None:
            state, reason = read_status(self.directory)
            gone = state in {"failed", "done", "absent"} and not written.exists()
            if gone:
                return f"the engine {state} before scenario {scenario.id}: {reason}"
            ended = self.engine_ended()
            if ended is not None and not written.exists():
                # it could not even say so: a full disk
                return f"the engine ended before scenario {scenario.id}: {ended}"
            return None

        wait(
            written.exists,
            bool,
            what=f"scenario {scenario.id}",
            timeout=max(PATIENCE, scenario.timeout),
            error=broken,
            delay=0.05,
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.meanwhile()
        time.sleep(seconds)
