"""Verdicts of other suites: run or imported here, judged by themselves."""
