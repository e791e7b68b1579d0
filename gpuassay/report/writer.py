"""Writes the reports of a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpuassay.report.account import Accounting
from gpuassay.report.allure import extras
from gpuassay.report.files import put
from gpuassay.report.junit import junit
from gpuassay.report.markdown import summary
from gpuassay.report.page import page
from gpuassay.report.rundir import ReportError, load
from gpuassay.report.view import view


@dataclass(frozen=True)
class Written:
    """What `write` left.

    Attributes:
        summary: summary.md.
        page: report.html.
        allure: files written into allure-results/.
        accounting: how the declared behaviours ended.
        problems: one line for each part of the run directory that was missing or unreadable.
    """

    summary: Path
    page: Path
    allure: list[Path]
    accounting: Accounting
    problems: list[str]


def write(run_dir: Path) -> Written:
    """Write summary.md, report.html and the Allure extras into `run_dir`, replacing earlier ones.

    Of a run that is not finished, junit.xml too.

    Raises:
        ReportError: `run_dir` cannot be read honestly, a template is missing, or the directory cannot be written.
    """
    rundir = load(run_dir)
    seen = view(rundir)
    try:
        if rundir.run.unfinished:  # at the end pytest writes its own
            put(run_dir / "junit.xml", junit(rundir.verdicts))
        return Written(
            summary=put(run_dir / "summary.md", summary(rundir, seen)),
            page=put(run_dir / "report.html", page(rundir, seen)),
            allure=extras(rundir),
            accounting=seen.account,
            problems=rundir.problems,
        )
    except OSError as error:
        raise ReportError(f"{error.filename or run_dir}: {error.strerror}") from None
