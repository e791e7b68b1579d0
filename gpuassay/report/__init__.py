"""Run directory -> summary.md, report.html, Allure extras and the end of the terminal output."""

from gpuassay.report.account import Accounting, accounting, worst_first
from gpuassay.report.findings import Finding, findings
from gpuassay.report.rundir import ReportError, RunDir, load
from gpuassay.report.terminal import terminal_ending
from gpuassay.report.writer import Written, write

__all__ = [
    "Accounting",
    "Finding",
    "ReportError",
    "RunDir",
    "Written",
    "accounting",
    "findings",
    "load",
    "terminal_ending",
    "worst_first",
    "write",
]
