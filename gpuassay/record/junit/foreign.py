"""Says what a file is that is no JUnit XML, and how to get JUnit XML of it."""

from __future__ import annotations

import re

_ROOTS = {
    "testrun": "a TRX file of `dotnet test`: have it written with `--logger junit` (JunitXml.TestLogger)",
    "test-run": "an NUnit 3 file: have NUnit write JUnit XML",
    "test-results": "an NUnit 2 file: have NUnit write JUnit XML",
    "assemblies": "an xUnit.net file: have xUnit.net write JUnit XML (`-junit FILE`)",
    "assembly": "an xUnit.net file: have xUnit.net write JUnit XML (`-junit FILE`)",
    "testng-results": "a TestNG file: name those in its folder junitreports",
    "robot": "an output file of Robot Framework: convert it by `rebot --xunit junit.xml output.xml`",
    "site": "a file for CDash: have CTest write JUnit XML (`ctest --output-junit FILE`)",
    "catch": "a file of Catch2's own form: have it written with `--reporter junit`",
    "catch2testrun": "a file of Catch2's own form: have it written with `--reporter junit`",
    "doctest": "a file of doctest's own form: have it written with `--reporters=junit`",
    "testlog": "a file of Boost.Test's own form: have it written with `--log_format=JUNIT`",
    "testresult": "Jenkins' or Boost.Test's own form of results: name the JUnit file that it was made of",
    "matrixtestresult": "Jenkins' own form of results: name the JUnit files that it was made of",
    "testexecutions": "a file of SonarQube's own form: have the tests write JUnit XML",
    "testcase": "a single <testcase>, or QtTest's own form: a JUnit file has it within a <testsuite>",
    "test-suite": "a file of Allure 1: name the JUnit file of that run",
    "coverage": "a report of coverage and not of tests: name the JUnit file",
    "report": "a report of coverage and not of tests: name the JUnit file",
    "checkstyle": "a report of Checkstyle and not of tests: name the JUnit file",
    "failsafe-summary": "a summary of Maven Failsafe: name the TEST-*.xml files beside it, or their folder",
    "html": "a web page, such as a page to log in: download the file itself",
    "error": "a server's error and not the file: download it again",
}

_TEXTS = (
    (r'\{[^\n]*"Action"\s*:', "a stream of `go test -json`: convert it by gotestsum or go-junit-report"),
    (r"\s*[\[{]", "JSON and no JUnit XML: have the tests write JUnit XML"),
    (r"\s*<!doctype html|\s*<html", f"no JUnit XML but {_ROOTS['html']}"),
    (r"TAP version|1\.\.\d+|(not )?ok \d+", "TAP and no JUnit XML: convert it by tap-junit or the like"),
    (
        r"(?s).{0,2000}?^(\x16?=== RUN |\s*--- (PASS|FAIL|SKIP): |(ok|FAIL|\?)\s*\t)",
        "the output of `go test`: convert it by go-junit-report, or run the tests by gotestsum",
    ),
    (r"version https://git-lfs", "a pointer of Git LFS: get the file by `git lfs pull`"),
    (r"%PDF", "a PDF and no JUnit XML"),
)


def no_xml(text: str) -> str:
    """What a text is that is no XML, with what to do; "" where it may be XML."""
    start = text[:4000].lstrip("\ufeff")
    for pattern, told in _TEXTS:
        if re.match(pattern, start, re.IGNORECASE | re.MULTILINE):
            return told
    start = start.strip()
    if start.startswith("<"):
        return ""
    first = " ".join(start.splitlines()[0].split())[:40] if start else ""
    return f"no XML: it begins with {first!r}"


def root(tag: str) -> str:
    """What an XML file is whose first element is <tag> and no JUnit's."""
    told = _ROOTS.get(tag)
    return f"no JUnit XML but {told}" if told else f"no JUnit XML: it begins with <{tag}>, not with <testsuites>"
