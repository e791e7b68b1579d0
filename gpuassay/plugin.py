"""The pytest plugin: options, behaviours, verdicts, scenarios run ahead, replay.

With pytest-xdist the controller owns the cluster and the ledger; workers only judge recordings. The run directory is
what they share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from gpuassay import resources
from gpuassay.record import rundir
from gpuassay.record.recording import Recording
from gpuassay.scenarios import declare, mutants
from gpuassay.scenarios.declare import Scenario
from gpuassay.secrets import hide
from gpuassay.session import (
    collection,
    contention,
    imported,
    invariants,
    names,
    options,
    outlets,
    signals,
    suites,
    switched_off,
    unseen,
    upstream,
)
from gpuassay.session.collection import behaviour_of
from gpuassay.session.measure import Measure
from gpuassay.session.opening import open_run_of
from gpuassay.session.outcome import (
    LONGEST,
    MEASURE,
    RECORDINGS,
    enter,
    recordings_of,
    refuse_another_failure,
    refuted_reason,
)
from gpuassay.session.run import Run
from gpuassay.session.serving import served
from gpuassay.settings import Settings
from gpuassay.system import BadSystem, broken, systems
from gpuassay.told import told
from gpuassay.toolchain import catalogue
from gpuassay.verdict import Inconclusive

RUN = pytest.StashKey[Run]()

_FIXTURES = "gpuassay.fixtures" if resources.INSTALLED else "fixtures"
pytest_plugins = tuple(
    f"{_FIXTURES}.{name}"
    for name in ("arms", "cluster", "das", "environments", "gpu_operator", "kueue", "lab", "llmd", "store_runs")
)
"""In a checkout they stand beside the package, where readers look first; in a wheel inside it."""


BAD_INPUT = 2
"""Exit code of a replay of which a recording is missing, cut, edited or another's."""


class ScenarioBroke(Exception):  # noqa: N818 - reads as a sentence in reports
    """The scenario behind a test could not be acted out: says nothing about the system under test."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The options of `gpuassay.session.options`."""
    try:
        options.add_options(parser.getgroup("gpuassay", "GPU platform conformance and performance"))
    except BadSystem as error:
        raise pytest.UsageError(f"gpuassay: {error}") from None
    suites.add_ini(parser)
    switched_off.declare_settings(parser, pluginmanager)


def _stop(message: str) -> None:
    pytest.exit(f"gpuassay: {hide(message)}", returncode=2)


def _only_looks(config: pytest.Config) -> bool:
    """Whether pytest lists tests or fixtures and runs nothing."""
    return bool(config.option.collectonly or vars(config.option).get("setupplan"))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers, choose the run directory and direct JUnit and Allure into it."""
    for line in (
        "behaviour(declared): what the test proves (use gpuassay.behaviours.behaviour)",
        "known_defect(link, shows): fails as an upstream issue says, with a message that matches",
        "needs(*capabilities): skipped by type where the cluster lacks one",
        "perf: a measurement; runs alone",
        "scale: a measurement at a thousand nodes",
        "paper: a claim of the paper, decided in rounds; only where -m names it",
        "upstream: another project's own suite; only where -m names it",
        "upgrade: from an older version of a component to the one under test; only where -m names it",
    ):
        config.addinivalue_line("markers", line)
    # whoever accepts any certificate has said so, once is enough
    config.addinivalue_line("filterwarnings", "ignore:Unverified HTTPS request:Warning")
    switched_off.declare_marks(config)
    outlets.open_streams()
    config.pluginmanager.register(unseen.Unseen(), "gpuassay-unseen")
    try:
        imported.reach(config)
        if config.option.collectonly:
            upstream.declare(config, upstream.given(config.option.upstream_junit))
    except Exception as error:
        _stop(" ".join(str(error).split()))
    if not suites.reached(config) or _only_looks(config):
        return
    if _is_worker(config):
        from gpuassay.record.recorder import die_with_parent

        die_with_parent()  # a worker whose controller was killed would go on waiting for recordings
        handed = vars(config).get("workerinput", {}).get("gpuassay_run_dir")
        if handed:
            run = config.stash[RUN] = Run.of_worker(Path(str(handed)))
            upstream.declare_in_worker(config, run.directory)
        return
    config.pluginmanager.register(outlets.Full(), "gpuassay-full")
    switched_off.refuse_blind(config)
    outlets.check(config)
    try:
        catalogue.selected(config.option.build)
        if config.option.mutant:
            mutants.get(config.option.mutant)
        options.refuse_contradictions(config.option)
        for one in systems().values():
            if one.take_options:
                one.take_options(Settings.of(config.option))
        results = upstream.given(config.option.upstream_junit)
        upstream.distinct(results, config.option.replay)
        run = open_run_of(config)
        upstream.declare(config, results, upstream.kept(run.replay))
        if not config.option.plan:
            upstream.keep(config, run.directory)
    except pytest.UsageError:
        raise
    except Exception as error:
        _stop(told(error))
        return
    config.stash[RUN] = run
    if config.option.plan:
        # nothing runs and nothing is kept: no workers, no files
        vars(config.option).update(numprocesses=None, dist="no", tx=[])
        return
    outlets.aim(config, run.directory)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is being judged."""
    run = config.stash.get(RUN, None)
    if run is None:
        return []
    said = [f"gpuassay: {line}" for one in systems().values() if one.says for line in one.says()]
    return [*run.header(), *said, *(f"gpuassay: system {name} is left out: {why}" for name, why in broken().items())]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Xdist controller: tell each worker where the run directory is."""
    run = node.config.stash.get(RUN, None)
    if run is not None:
        node.workerinput["gpuassay_run_dir"] = str(run.directory)


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing is declared of other suites' files where none was given; one that is given always counts."""
    return imported.ignored(collection_path, config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check declarations, label tests for Allure, and bring tests of one profile together, measurements last."""
    imported.leave_out(items, config)
    collection.arrange(items, suites.folders(config))
    names.check(items)
    imported.set_aside(items, config)


@pytest.hookimpl(tryfirst=True)  # in a worker: before xdist tells the controller that the collection is there
def pytest_collection_finish(session: pytest.Session) -> None:
    """The selected behaviours are known: declare them and set the engine to work."""
    imported.put_back(session)
    run = session.config.stash.get(RUN, None)
    if run is None and not _only_looks(session.config):
        suites.refuse_strays(session)
    if run is None or (not _is_worker(session.config) and session.config.option.__dict__.get("numprocesses")):
        return
    declarations: list[dict[str, Any]] = []
    scenarios: dict[str, Scenario] = {}
    for item in session.items:
        behaviour = behaviour_of(item)
        if behaviour is not None:
            declarations.append(collection.declaration(item, behaviour))
            scenarios |= {one.id: one for one in collection.scenarios_of(item)}
    wanted = list(scenarios.values())
    if _is_worker(session.config):
        run.hand_to_controller(declarations, wanted)
    elif session.config.option.plan:
        _begin(lambda: run.print_plan(declarations, wanted, session.items, Settings.of(session.config.option)))
        session.items.clear()
    else:
        _begin(lambda: run.begin(declarations, wanted))


def _begin(action: Callable[[], None]) -> None:
    """Begin; what the suites ask for and cannot be had is one line and exit code 2."""
    try:
        action()
    except Exception as error:
        if not isinstance(getattr(type(error), "exit_code", None), int):
            raise
        _stop(str(error))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Xdist controller: the first worker that has collected says what is wanted."""
    del ids
    run = node.config.stash.get(RUN, None)
    if run is not None:
        _begin(run.begin_from_worker)


def recording_of(request: pytest.FixtureRequest, scenario: Scenario) -> Recording:
    """The recording of `scenario`, waiting for the engine to finish it.

    Raises:
        ScenarioBroke: it could not be acted out.
    """
    run = request.config.stash[RUN]
    recording = served(request.config, run.recording(scenario))
    item = request.node
    item.stash.setdefault(RECORDINGS, []).append(recording)
    meta = recording.meta
    if meta.outcome == "skip":
        pytest.skip(meta.error)
    if meta.outcome != "ok":
        raise ScenarioBroke(f"scenario {scenario.id}: {meta.error[:LONGEST]}\n{recording.timeline_text()[:4000]}")
    lacking = [need for marker in item.iter_markers("needs") for need in marker.args if need not in run.capabilities()]
    if lacking and recording.recorded is None:
        pytest.skip(f"the cluster lacks: {', '.join(sorted(lacking))}")
    return recording


declare.serve_recordings(recording_of)


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Figures, interval, threshold and exhibits of this test for the report."""
    found = Measure(request.config.stash[RUN].directory)
    request.node.stash[MEASURE] = found
    return found


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a test's own judgement: invariants that hold on every event of every recording.

    What hangs on a clock accuses nobody where CPUs were contended.
    """
    behaviour = behaviour_of(pyfuncitem)
    try:
        outcome = yield
    except (AssertionError, pytest.fail.Exception) as refuted:
        contended = contention.evidence(one.meta for one in recordings_of(pyfuncitem))
        defect = pyfuncitem.get_closest_marker("known_defect")
        if defect is not None:
            refuse_another_failure(refuted, *defect.args)
        if behaviour is None or not behaviour.timed or contended is None or defect is not None:
            raise
        raise Inconclusive(f"{contended}, and what was seen hangs on a clock: {refuted_reason(refuted)}") from refuted
    for recording in recordings_of(pyfuncitem):
        contended = contention.evidence([recording.meta])
        late = invariants.timed(recording)
        if findings := [*invariants.untimed(recording), *([] if contended else late)]:
            pytest.fail("invariant: " + "\ninvariant: ".join(findings[:20]), pytrace=False)
        if late:
            raise Inconclusive(f"{contended}, and what was seen hangs on a clock: {'; '.join(late[:20])}")
    return outcome


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand state, reason and figures to the ledger with the report."""
    report = yield
    if behaviour_of(item) is not None and item.config.stash.get(RUN, None) is not None:
        enter(item, call, report)
    return report


def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """Show INCONCLUSIVE and PASS, RECORDED as what they are."""
    if report.skipped and isinstance(report.longrepr, tuple) and str(report.longrepr[2]).startswith("INCONCLUSIVE"):
        return "inconclusive", "I", "INCONCLUSIVE"
    if report.skipped and isinstance(report.longrepr, tuple) and str(report.longrepr[2]).startswith("PASS, RECORDED"):
        return "recorded", "R", "PASS, RECORDED"
    return None


class Controller:
    """Hooks of the process that sees all reports."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter each report in the ledger."""
        self.run.take(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the environment, write verdicts and report; a run that proved nothing is not green."""
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        why_not_green = self.run.finish(interrupted=interrupted)
        if self.run.planned and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK  # a plan is complete without a test
        if why_not_green and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.run.unusable() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = BAD_INPUT

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """End with the accounting, the findings worst first, and where the report is."""
        lines = self.run.ending()
        if lines:
            terminalreporter.section("gpuassay")
            for line in lines:
                terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Give the run the terminal to speak on."""
    imported.look_everywhere(session.config)
    run = session.config.stash.get(RUN, None)
    if run is None or _is_worker(session.config):
        return
    manager = session.config.pluginmanager
    run.speech.reporter = manager.get_plugin("terminalreporter")
    run.speech.capture = manager.get_plugin("capturemanager")
    run.speech.direct = bool(session.config.option.__dict__.get("numprocesses"))
    if run.provider is not None:
        signals.as_interrupt()  # so that somebody's cluster is cleaned up and the report is written
    # refused connections while a server starts are expected and waited out
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    session.config.pluginmanager.register(Controller(run), "gpuassay-controller")


__all__ = ["MEASURE", "RECORDINGS", "RUN", "behaviour_of", "recording_of", "rundir"]
