"""Files that are no JUnit files, or broken ones, and what the one line says that refuses each."""

from __future__ import annotations

from tests.record.junit_files import case

REFUSED: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty: what should have written it has written nothing"),
    "blanks": (" \n\n", "is empty"),
    "cut within a tag": ("<testsuite><testcase", "was cut off: it ends within <testsuite>, in line 1"),
    "cut between cases": ('<testsuite><testcase name="a"/>\n', "was cut off: it ends within <testsuite>, in line"),
    "cut within CDATA": ("<testsuite><testcase><failure><![CDATA[x", "was cut off: it ends within <failure>"),
    "cut at its declaration": ("<?xml version='1.0'?>\n", "was cut off: it ends at its beginning"),
    "the second document is cut": (
        f"{case()}\n<testsuite><testcase",
        "was cut off: it ends within <testsuite>, in line 2",
    ),
    "not well-formed": (
        "<testsuite>\n<testcase></testsuite>",
        "is not well-formed XML: mismatched tag within <testcase>",
    ),
    "a bare ampersand": (case('<failure message="a && b"/>'), "is not well-formed XML"),
    "text behind it": (
        f"{case()}\nmake: *** [test] Error 1\n",
        "has text after its last element, in line 2: 'make: ***",
    ),
    "text before it": (f"Running tests\n{case()}", "is no XML: it begins with 'Running tests'"),
    "an entity": ('<!DOCTYPE t [<!ENTITY a "b">]><testsuite/>', "has the XML entity 'a' of its own, which is refused"),
    "a file as an entity": (
        '<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/hostname">]><testsuite><testcase name="&a;"/></testsuite>',
        "has the XML entity 'a'",
    ),
    "an entity of a parameter": (
        '<!DOCTYPE t [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x"> %a;]><testsuite/>',
        "has the XML entity 'a'",
    ),
    "an entity of a file that is not fetched": (
        '<!DOCTYPE t SYSTEM "http://127.0.0.1:1/x"><testsuite><testcase name="a" status="&x;"/></testsuite>',
        "has the XML entity 'x'",
    ),
    "an entity that is not declared": (case("<failure>&nbsp;</failure>"), "undefined entity"),
    "thousands of levels": ("<testsuite>" * 5000, "has elements 200 levels deep"),
    "no case": ("<testsuites/>", "has no test case: whatever wrote it has run nothing"),
    "no case, and counts": (
        '<testsuite name="t" tests="5"/>',
        "has run nothing (t: the rest: it says that it has 5 tests",
    ),
    "go test -json": (
        '{"Time":"2026","Action":"run","Test":"T"}\n',
        "a stream of `go test -json`: convert it by gotestsum",
    ),
    "go test": ("=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n", "the output of `go test`"),
    "go test of packages": ("ok  \texample.com/a\t0.01s\n", "the output of `go test`"),
    "JSON": ('[{"name": "x"}]', "JSON and no JUnit XML"),
    "TAP": ("TAP version 13\n1..2\nok 1\n", "TAP and no JUnit XML"),
    "web page": ("<!DOCTYPE html><html><body><br>log in", "a web page"),
    "a page that is XML": ("<html/>", "a web page"),
    "TRX": ("<TestRun/>", "a TRX file of `dotnet test`"),
    "NUnit 3": ("<test-run/>", "an NUnit 3 file"),
    "NUnit 2": ("<test-results/>", "an NUnit 2 file"),
    "xUnit.net": ("<assemblies/>", "an xUnit.net file"),
    "TestNG": ("<testng-results/>", "a TestNG file"),
    "Robot": ("<robot/>", "rebot --xunit"),
    "CDash": ("<Site/>", "ctest --output-junit"),
    "Catch2": ("<Catch2TestRun/>", "--reporter junit"),
    "Jenkins": ("<testResult/>", "Jenkins"),
    "coverage": ("<coverage/>", "a report of coverage"),
    "failsafe": ("<failsafe-summary/>", "a summary of Maven Failsafe"),
    "a bucket's error": ("<Error><Code>AccessDenied</Code></Error>", "a server's error"),
    "unknown XML": ("<svg/>", "no JUnit XML: it begins with <svg>, not with <testsuites>"),
    "another document behind it": (f"{case()}<html/>", "a web page"),
}
"""By kind: the file, and what its one line says."""
