"""Where pytest itself writes: its JUnit file, Allure's folder, standard output.

Looked at before a run begins; a place that fills up meanwhile ends it in order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from gpuassay import writable
from gpuassay.told import told


def open_streams() -> None:
    """A closed standard output or error (`>&-`) takes what is printed and drops it, as `/dev/null` does."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - as long as we live


def check(config: pytest.Config) -> None:
    """Look at the places that the user names for pytest's own results: they are written when the run is over.

    Raises:
        pytest.UsageError: one cannot be written.
    """
    option = vars(config.option)
    if file := option.get("xmlpath"):
        _check(Path(os.path.expandvars(file)).expanduser(), "--junitxml", folder=False)
    if folder := option.get("allure_report_dir"):
        _check(Path(folder), "--alluredir", folder=True)


def aim(config: pytest.Config, run_directory: Path) -> None:
    """Direct what the user has not directed into the run directory."""
    option = vars(config.option)
    for name, place in (("xmlpath", "junit.xml"), ("allure_report_dir", "allure-results")):
        if name in option and not option[name]:  # not there: the plugin is switched off
            option[name] = str(run_directory / place)


class Full:
    """Hooks around those of plugins that write: where they cannot, the run ends with one line, and is not green."""

    why = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Allure writes a file for each test."""
        try:
            return (yield)
        except OSError as error:
            self.why = f"results cannot be kept: {told(error)}"
            item.session.shouldstop = f"gpuassay: {self.why}"
            return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """JUnit's file is written at the end."""
        try:
            yield
        except OSError as error:
            self.why = f"results cannot be kept: {told(error)}"
        if self.why and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say so once more where it is read."""
        if self.why:
            terminalreporter.write_line(f"gpuassay: {self.why}", red=True)


def _check(place: Path, flag: str, *, folder: bool) -> None:
    kind = "folder" if folder else "file"
    if place.exists():
        if place.is_dir() != folder:
            other = "file" if folder else "folder"
            raise pytest.UsageError(f"gpuassay: {flag} {place}: this is a {other}; name a {kind}")
        nearest = place
    else:
        nearest = next(one for one in place.absolute().parents if one.exists())
        if not nearest.is_dir():
            raise pytest.UsageError(f"gpuassay: {flag} {place}: {nearest} is a file, not a folder; name another place")
    problem = writable.why_not(nearest if nearest.is_dir() else nearest.parent)
    if problem or not os.access(nearest, os.W_OK):
        why = problem or "no permission"
        raise pytest.UsageError(f"gpuassay: {flag} {place}: {nearest} cannot be written to ({why}); name another place")
