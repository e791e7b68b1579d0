"""A run: what was asked for, where it is kept, what acts and what is judged."""

from __future__ import annotations

import importlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpuassay.engine.engine import Engine
from gpuassay.record import rundir
from gpuassay.record.pack import RunError
from gpuassay.record.recording import Recording
from gpuassay.record.rows import UnusableError
from gpuassay.scenarios.declare import Scenario, declared
from gpuassay.session.exhibits import tell_activity, tell_claims, tell_reach
from gpuassay.session.ledger import Ledger
from gpuassay.session.measure import Measure
from gpuassay.session.plan import plan_lines
from gpuassay.session.recordings import Recordings
from gpuassay.session.resumed import KEPT, Resumed, mixed
from gpuassay.session.so_far import SoFar
from gpuassay.session.speech import Speech
from gpuassay.settings import Settings
from gpuassay.system import get
from gpuassay.told import told

if TYPE_CHECKING:
    from gpuassay.engine.provider import Provider

_UNUSABLE = tuple(f"{kind.__name__}: " for kind in (UnusableError, RunError))
"""How the reason of a test begins whose recording cannot be used."""

LEFT_SHOWN = 20
"""Objects left behind that the terminal names."""


@dataclass
class Run:
    """One run of the suite, as seen by one process (the only one, the xdist controller, or a worker).

    Attributes:
        directory: the run directory.
        replay: directory of the stored run that is judged again, or None for a live run.
        provider: where stages (cluster, Kueue, recorder) are opened (None in replays and workers).
    """

    directory: Path
    replay: Path | None = None
    provider: Provider | None = None
    mutant: str | None = None
    full: bool = False
    recorded: bool = True
    """Judge what cannot be acted out here from recordings that come with the library."""
    resumed: Resumed | None = None
    """The run that this one goes on with."""
    prometheus: str = ""
    """Base URL of one that knows what GPUs and workers did."""
    title: list[str] = field(default_factory=list[str])
    speech: Speech = field(default_factory=Speech)
    ledger: Ledger = field(default_factory=Ledger)
    planned: int = 0
    """Behaviours of a plan that was printed."""
    _engine: Engine | None = None
    _so_far: SoFar | None = None
    _begun: bool = False
    _unreported: str = ""
    _unwritten: str = ""
    """Why the run's files could not be written, "" where they could."""

    def __post_init__(self) -> None:
        """Say where recordings are found."""
        self._recordings = Recordings(
            self.directory, self.replay, self.recorded, engine_ended=self._engine_ended, meanwhile=self.speech.flush
        )

    @classmethod
    def of_worker(cls, directory: Path) -> Run:
        """The run that the controller keeps, as an xdist worker sees it."""
        known = directory / "replay-of.txt"
        replay = Path(known.read_text()) if known.exists() else None
        return cls(directory, replay=replay, recorded=not (directory / "no-recorded").exists())

    def say(self, text: str) -> None:
        """Tell the person at the terminal how far things are."""
        self.speech.say(text)

    def header(self) -> list[str]:
        """Lines for pytest's header."""
        return self.title

    # --- what is wanted --------------------------------------------------------------------------------------------

    def hand_to_controller(self, declarations: list[dict[str, Any]], scenarios: list[Scenario]) -> None:
        """Xdist worker: leave word of what was collected (every worker collects the same)."""
        word = {"declarations": declarations, "scenarios": [[one.module, one.id] for one in scenarios]}
        target = self.directory / "wanted.json"
        if not target.exists():
            draft = self.directory / f"wanted.{id(self)}.{time.monotonic_ns()}"
            draft.write_text(json.dumps(word))
            draft.replace(target)

    def begin_from_worker(self) -> None:
        """Xdist controller: begin with what a worker collected."""
        if self._begun:
            return
        word = json.loads((self.directory / "wanted.json").read_text())
        for module, _ in word["scenarios"]:
            importlib.import_module(module)
        known = declared()
        self.begin(word["declarations"], [known[one] for _, one in word["scenarios"]])

    def begin(self, declarations: list[dict[str, Any]], scenarios: list[Scenario]) -> None:
        """Declare what is wanted and start acting it out.

        Raises:
            Exception: a scenario asks its system for something that there is not; it has an `exit_code`.
        """
        self._begun = True
        self._check(scenarios)
        self.ledger.declare(declarations)
        rundir.describe(self.directory, declared=len(self.ledger.verdicts))
        if self.replay is None and scenarios and self.provider is not None:
            provider = self.provider
            self._engine = Engine(
                lambda pool: provider.open(self, pool), self.directory, self.say, full=self.full, only=provider.only,
                programs=provider.programs, assets=provider.assets, absent=provider.absent,
            )  # fmt: skip
            self._engine.start(self._take_over(scenarios))
            self._so_far = SoFar(self.ledger, self.directory)
            self._so_far.start()

    def _take_over(self, scenarios: list[Scenario]) -> list[Scenario]:
        """What has to be acted out: all scenarios but those that an earlier run recorded to the end."""
        if self.resumed is None:
            return scenarios
        self.resumed.take(scenarios, self.directory)
        if taken := self.resumed.taken:
            kept = {key: self.resumed.known[key] for key in KEPT if key in self.resumed.known}
            rundir.describe(self.directory, resumed_of=self.resumed.known["run_id"], **kept)
            Measure(self.directory).exhibit(**self.resumed.exhibit())
        self.say(f"{len(taken)} of {len(scenarios)} scenarios are taken over from run {self.resumed.known['run_id']}")
        return [one for one in scenarios if one.id not in taken]

    def _check(self, scenarios: list[Scenario]) -> None:
        if self.replay is not None:
            return  # nothing will be configured
        for one in scenarios:
            get(one.system).check(one)

    def print_plan(
        self,
        declarations: list[dict[str, Any]],
        scenarios: list[Scenario],
        items: list[pytest.Item],
        settings: Settings,
    ) -> None:
        """Say what would run, what it needs and which permissions it takes."""
        self._begun = True
        self._check(scenarios)
        for line in plan_lines(declarations, scenarios, items, settings):
            self.speech.tell(line)
        self.planned = len(declarations)

    # --- what is judged --------------------------------------------------------------------------------------------

    def capabilities(self) -> frozenset[str]:
        """What the cluster (in a replay: the recorded one) offers."""
        place = (self.replay or self.directory) / "run.json"
        return frozenset(json.loads(place.read_text())["capabilities"])

    def recording(self, scenario: Scenario) -> Recording:
        """The recording of a scenario, loaded once per process; waits for it in a live run."""
        return self._recordings.of(scenario)

    def _engine_ended(self) -> str | None:
        if self._engine is None or not self._engine.ended:
            return None
        return self._engine.problem or "no word of it"

    def take(self, report: pytest.TestReport) -> None:
        """Enter what a report says of a behaviour."""
        self.ledger.take(report)
        if self._so_far is not None and report.when == "teardown":
            self._so_far.judged(report.nodeid)

    def unusable(self) -> str | None:
        """Of a replay: why one of its recordings cannot be judged; then the input is bad, whatever else was judged."""
        if self.replay is None:
            return None
        broken = (one.reason for one in self.ledger.verdicts.values() if one.reason.startswith(_UNUSABLE))
        return next((reason.partition(": ")[2].splitlines()[0] for reason in broken), None)

    # --- the end ---------------------------------------------------------------------------------------------------

    def finish(self, *, interrupted: bool) -> str | None:
        """Take everything down and write the run's files; the reason why the run is not green, or None."""
        try:
            return self._finish(interrupted=interrupted)
        except OSError as error:
            self._unwritten = f"the results cannot be kept: {told(error)}"
            return self._unwritten

    def _finish(self, *, interrupted: bool) -> str | None:
        if self._engine is not None:
            self._engine.stop(abort=interrupted)
        if self._so_far is not None:
            self._so_far.stop()
        self.speech.flush()
        if not self._begun or not self.ledger.verdicts:
            return None
        from gpuassay import report  # jinja2 and charts: not for `--help`

        rundir.describe(self.directory, ended=rundir.now())
        leaks = self.directory / "leaks.txt"
        self.ledger.write(self.directory)
        if self.provider is not None and self.provider.only is not None:
            tell_reach(self.ledger, self.directory)
            tell_activity(self.ledger, self.directory, self.prometheus)
        tell_claims(self.ledger, self.directory)
        try:
            report.write(self.directory)
        except report.ReportError as error:
            self._unreported = f"no report: {error}"
            return self._unreported
        accounting = report.accounting(list(self.ledger.verdicts.values()))
        if leaks.exists():
            return "objects were left behind on the cluster"
        if self._engine is not None and self._engine.problem:
            return self._engine.problem
        if self.resumed is not None and self.resumed.taken and (why := self._mixed()):
            return why
        return None if accounting.green else accounting.why

    def _mixed(self) -> str | None:
        """Why what was taken over does not belong to what was acted out here, or None."""
        assert self.resumed is not None
        known = json.loads((self.directory / "run.json").read_text())
        return mixed(self.resumed.known["components"], known["components"])

    def ending(self) -> list[str]:
        """The lines the terminal ends with."""
        if not self._begun or not self.ledger.verdicts:
            return []
        from gpuassay import report

        if self._unwritten:
            return [f"gpuassay: {self._unwritten}", "make room, or name another folder with --run-dir"]
        try:
            lines = report.terminal_ending(self.directory)
        except (OSError, report.ReportError) as error:
            return [f"gpuassay: the results cannot be read: {told(error)}"]
        if self._unreported:
            lines.append(f"gpuassay: {self._unreported}")
        if unusable := self.unusable():
            lines.append(f"a recording cannot be used, so this is no replay of the run: {unusable}"[:2000])
        leaks = self.directory / "leaks.txt"
        if leaks.exists():
            left = leaks.read_text().splitlines()
            more = f" and {len(left) - LEFT_SHOWN} more" if len(left) > LEFT_SHOWN else ""
            lines.append(f"LEFT BEHIND on the cluster: {', '.join(left[:LEFT_SHOWN])}{more} (all of them: {leaks})")
        if self._engine is not None and self._engine.problem:
            lines.append(f"the cluster could not be used or taken down in order: {self._engine.problem}"[:2000])
        return lines
