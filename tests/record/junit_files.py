"""JUnit files as frameworks write them, and what each of them says."""

from __future__ import annotations

from gpuassay.record.upstream import Outcome

P, F, E, S = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED

GINKGO = """<testsuites tests="3" disabled="0" errors="{errors}" failures="0" time="1.5">
<testsuite name="E2E" package="/go/e2e" tests="3" disabled="0" skipped="{skipped}" errors="{errors}" failures="0">
<properties><property name="SuiteSucceeded" value="{succeeded}"></property>
<property name="SuiteHasProgrammaticFocus" value="{focus}"></property>
<property name="SpecialSuiteFailureReason" value="{reason}"></property></properties>{cases}</testsuite></testsuites>"""
CASES = "".join(f'<testcase name="[It] {name}" classname="E2E" status="passed" time="0.1"/>' for name in "abc")


def ginkgo(cases: str = CASES, **more: str) -> str:
    """A file of Ginkgo 2."""
    told = {"errors": "0", "skipped": "0", "succeeded": "true", "focus": "false", "reason": "", "cases": cases}
    return GINKGO.format(**told | more)


def case(body: str = "", attributes: str = "") -> str:
    """A file with one case `a`."""
    return f'<testsuite name="t"><testcase name="a" {attributes}>{body}</testcase></testsuite>'


def suite(attributes: str, body: str = "") -> str:
    """A file with one suite `t`, and in it a case `a` that says nothing."""
    return f'<testsuites><testsuite name="t" {attributes}>{body}<testcase name="a"/></testsuite></testsuites>'


TWO_PACKAGES = "".join(
    f'<testsuite name="e2e" package="{package}" tests="1"><testcase classname="e2e" name="[It] works"/></testsuite>'
    for package in ("/go/one", "/go/two")
)

READ: dict[str, tuple[str, dict[str, Outcome]]] = {
    # --- Ginkgo
    "ginkgo": (ginkgo(), {"[It] a": P, "[It] b": P, "[It] c": P}),
    "ginkgo: nodes that repeat": (
        '<testsuite tests="2"><testcase name="[DeferCleanup (Suite)]" classname="s" status="passed"/>'
        '<testcase name="[DeferCleanup (Suite)]" classname="s" status="passed"/></testsuite>',
        {"[DeferCleanup (Suite)]": P, "[DeferCleanup (Suite)] #2": P},
    ),
    "ginkgo: table entries of one name, one fails": (
        '<testsuite><testcase name="[It] entry" classname="s"/><testcase name="[It] entry" classname="s" '
        'status="failed"><failure/></testcase><testcase name="[It] entry" classname="s"/></testsuite>',
        {"[It] entry": P, "[It] entry #2": F, "[It] entry #3": P},
    ),
    "ginkgo: programmatic focus": (
        ginkgo(succeeded="false", focus="true", reason="Detected Programmatic Focus"),
        {"[It] a": P, "[It] b": P, "[It] c": P, "E2E: the suite itself": E},
    ),
    "ginkgo: suite timed out between cases": (
        ginkgo(
            CASES.replace(
                'status="passed" time="0.1"/>', 'status="skipped"><skipped message="skipped"/></testcase>', 1
            ),
            succeeded="false",
            skipped="1",
            reason="Suite Timeout Elapsed",
        ),
        {"[It] a": S, "[It] b": P, "[It] c": P, "E2E: the suite itself": E},
    ),
    "ginkgo: did not succeed, without a reason": (
        ginkgo(succeeded="false"),
        {"[It] a": P, "[It] b": P, "[It] c": P, "E2E: the suite itself": E},
    ),
    "ginkgo: did not succeed because of a case": (
        ginkgo(
            CASES.replace('passed" time="0.1"/>', 'panicked"><error message="boom"/></testcase>', 1),
            succeeded="false",
            errors="1",
        ),
        {"[It] a": E, "[It] b": P, "[It] c": P},
    ),
    "ginkgo: interrupted, and a case failed": (
        ginkgo(
            CASES.replace('passed" time="0.1"/>', 'interrupted"><error message="^C"/></testcase>', 1),
            succeeded="false",
            reason="Interrupted by User",
        ),
        {"[It] a": E, "[It] b": P, "[It] c": P, "E2E: the suite itself": E},
    ),
    "ginkgo: suite left out in BeforeSuite": (
        ginkgo(
            "".join(f'<testcase name="{n}" status="skipped"><skipped message="skipped"/></testcase>' for n in "abc"),
            skipped="3",
            reason="Suite skipped in BeforeSuite",
        ),
        {"a": S, "b": S, "c": S},
    ),
    "ginkgo: pending counts as disabled": (
        '<testsuite tests="2" disabled="1" skipped="1"><testcase name="a" status="pending"><skipped message="pending"/>'
        '</testcase><testcase name="b" status="skipped"><skipped message="skipped"/></testcase></testsuite>',
        {"a": S, "b": S},
    ),
    "one suite name in two packages": (
        f"<testsuites>{TWO_PACKAGES}</testsuites>",
        {"/go/one: [It] works": P, "/go/two: [It] works": P},
    ),
    # --- status, result
    **{
        f"status {word}": (case(attributes=f'status="{word}"'), {"a": outcome})
        for outcome, words in {
            P: "passed PASS ok success run completed",
            F: "failed fail Failure",
            E: "error broken timedout aborted interrupted panicked cancelled undefined crashed weird 42",
            S: "skipped notrun pending disabled ignored NOT_RUN not-run untested inconclusive",
        }.items()
        for word in words.split()
    },
    "result failed": (case(attributes='result="failed"'), {"a": F}),
    "outcome FAILED": (case(attributes='outcome="FAILED"'), {"a": F}),
    "googletest: notrun, suppressed": (case(attributes='status="notrun" result="suppressed"'), {"a": S}),
    "googletest: run, skipped": (case(attributes='status="run" result="skipped"'), {"a": S}),
    "googletest: run, completed": (case(attributes='status="run" result="completed" time="0."'), {"a": P}),
    "googletest: run, completed, failed": (
        case('<failure message="x&#x0A;y" type=""><![CDATA[x]]></failure>', 'status="run" result="completed"'),
        {"a": F},
    ),
    "status passed and a failure": (case("<failure/>", 'status="passed"'), {"a": F}),
    "status failed and skipped": (case("<skipped/>", 'status="failed"'), {"a": F}),
    "success false": (case(attributes='success="False"'), {"a": F}),
    "executed false": (case(attributes='executed="False"'), {"a": S}),
    "enabled false": (case(attributes='enabled="false"'), {"a": S}),
    "timedout true": (case(attributes='timedout="true"'), {"a": E}),
    "success true": (case(attributes='success="True" executed="True"'), {"a": P}),
    "a count of failures on the case": (case(attributes='failures="2" errors="0"'), {"a": F}),
    "attributes in capitals": (case(attributes='Status="FAILED"'), {"a": F}),
    # --- elements
    "failure": (case('<failure message="no"/>'), {"a": F}),
    "empty error": (case("<error/>"), {"a": E}),
    "skipped and failed": (case("<skipped/><failure/>"), {"a": F}),
    "failure and error": (case("<failure/><error/>"), {"a": F}),
    "PHPUnit: warning": (case('<warning type="Warning">no tests found</warning>'), {"a": E}),
    "PHPUnit: incomplete": (case("<incomplete/>"), {"a": S}),
    "PHPUnit: risky": (case("<risky/>"), {"a": E}),
    "ignored": (case("<ignored/>"), {"a": S}),
    "skip": (case("<skip/>"), {"a": S}),
    "crash": (case("<crash/>"), {"a": E}),
    "timeout as a result": (case('<timeout message="x"/>'), {"a": E}),
    "timeout as a setting": (case("<timeout>30</timeout>"), {"a": P}),
    "passed as an element": (case("<passed/>"), {"a": P}),
    "disabled": (case("<disabled/>"), {"a": S}),
    "skipped that says false": (case("<skipped>false</skipped>"), {"a": P}),
    "elements in capitals": (case("<Failure/>"), {"a": F}),
    "children in another namespace": (case('<x:failure xmlns:x="urn:x"/>'), {"a": F}),
    "a prefix that nobody declares": (case("<x:failure/>"), {"a": F}),
    "a default namespace": (
        '<testsuite xmlns="urn:junit"><testcase name="a"><failure/></testcase></testsuite>',
        {"a": F},
    ),
    "a prefix on everything": (
        '<j:testsuite xmlns:j="urn:j"><j:testcase name="a"><j:error/></j:testcase></j:testsuite>',
        {"a": E},
    ),
    "failure within a result": (case("<result><failure message='x'/></result>"), {"a": F}),
    "result as text": (case("<result>failed</result>"), {"a": F}),
    "result as a value": (case('<result value="Failed"/>'), {"a": F}),
    "result passed as text": (case("<result>passed</result>"), {"a": P}),
    "a failed step": (case('<steps><step status="passed"/><step status="failed"/></steps>'), {"a": F}),
    "a container without failures": (case("<failures/><errors/>"), {"a": P}),
    "a container of failures": (case("<failures><failure/></failures>"), {"a": F}),
    "failure in output": (case("<system-out><failure/>status failed</system-out>"), {"a": P}),
    "failed as a property": (case('<properties><property name="status" value="failed"/></properties>'), {"a": P}),
    "case in a case": (
        '<testsuite><testcase name="outer"><testcase name="inner"><failure/></testcase></testcase></testsuite>',
        {"outer": P, "inner": F},
    ),
    "case outside a suite": ('<testsuites><testcase name="a"><failure/></testcase></testsuites>', {"a": F}),
    "suites in suites": (
        '<testsuites><testsuite name="o" tests="2" failures="1"><testsuite name="i" tests="1" failures="1">'
        '<testcase name="a"><failure/></testcase></testsuite><testcase name="b"/></testsuite></testsuites>',
        {"a": F, "b": P},
    ),
    # --- tries
    "surefire: flaky, counted twice": (
        '<testsuite name="t" tests="2" failures="0"><testcase name="a"><flakyFailure message="x"/></testcase>'
        "</testsuite>",
        {"a": P},
    ),
    "surefire: flaky failures and errors counted": (
        '<testsuite name="t" tests="3" failures="1" errors="1"><testcase name="a"><flakyFailure/><flakyError/>'
        "</testcase></testsuite>",
        {"a": P},
    ),
    "surefire: failed in each try": (
        '<testsuite name="t" tests="2" failures="2"><testcase name="a"><failure/><rerunFailure/></testcase>'
        "</testsuite>",
        {"a": F},
    ),
    "reruns alone": (case("<rerunFailure message='x'/>"), {"a": F}),
    # --- repeated names
    "pytest: failure, and error in tear-down": (
        '<testsuite name="pytest" errors="1" failures="1" tests="1"><testcase classname="t" name="a"><failure/>'
        '</testcase><testcase classname="t" name="a"><error/></testcase></testsuite>',
        {"a": F, "a #2": E},
    ),
    "pytest: pass, and error in tear-down": (
        '<testsuite name="pytest" errors="1" failures="0" tests="2"><testcase classname="t" name="a"/>'
        '<testcase classname="t" name="a"><error/></testcase></testsuite>',
        {"a": P, "a #2": E},
    ),
    "go-junit-report: -count=2": (
        '<testsuites><testsuite name="p" tests="2" failures="1"><testcase classname="p" name="T"><failure/></testcase>'
        '<testcase classname="p" name="T"/></testsuite></testsuites>',
        {"T": F, "T #2": P},
    ),
    "a name that looks like a number of another": (
        '<testsuite><testcase name="T"/><testcase name="T"/><testcase name="T #2"/></testsuite>',
        {"T": P, "T #3": P, "T #2": P},
    ),
    "names told apart by files": (
        '<testsuites><testcase name="T" file="a.py"/><testcase name="T" file="b.py"/></testsuites>',
        {"a.py: T": P, "b.py: T": P},
    ),
    "names told apart by suites": (
        '<testsuites><testsuite name="x"><testcase name="T"/></testsuite><testsuite name="y"><testcase name="T"/>'
        "</testsuite></testsuites>",
        {"x: T": P, "y: T": P},
    ),
    "no name": ('<testsuite><testcase classname="k"/><testcase/></testsuite>', {"k": P, "a case without a name": P}),
    "names with line ends and controls": (
        '<testsuite><testcase name=" a&#10;b&#x1b;[31m&#7; "/></testsuite>',
        {"a b\ufffd": P},
    ),
    # --- suites
    "error of a suite": (suite("", '<error message="setUpClass"/>'), {"a": P, "t: the suite itself": E}),
    "failure of a suite": (suite("", "<failure>x</failure>"), {"a": P, "t: the suite itself": F}),
    "failure of a suite, counted": (
        suite('tests="1" failures="1"', "<failure>x</failure>"),
        {"a": P, "t: the suite itself": F},
    ),
    "failure of the root": (
        '<testsuites><failure message="x"/><testsuite name="t"><testcase name="a"/></testsuite></testsuites>',
        {"a": P, "all suites: the suite itself": F},
    ),
    "failure of a suite without cases": (
        '<testsuites><testsuite name="t" tests="0" errors="1"><error/></testsuite></testsuites>',
        {"t: the suite itself": E},
    ),
    "a suite that was left out": (
        suite('tests="1" skipped="1"', '<skipped message="x"/>'),
        {"a": P, "t: the suite itself": S},
    ),
    "a suite's errors that no case has": (suite('tests="1" errors="1"'), {"a": P, "t: the rest": E}),
    "a suite's failures that no case has": (suite('failures="1"'), {"a": P, "t: the rest": E}),
    "a suite's skips that no case has": (suite('tests="1" skipped="1"'), {"a": P, "t: the rest": E}),
    "the root's failures that no case has": (
        '<testsuites name="all" failures="1"><testsuite name="t" failures="0"><testcase name="a"/></testsuite>'
        "</testsuites>",
        {"a": P, "all: the rest": E},
    ),
    "failures that nobody has, on both levels": (
        '<testsuites failures="1"><testsuite name="t" failures="1"><testcase name="a"/></testsuite></testsuites>',
        {"a": P, "t: the rest": E},
    ),
    "the root's tests that no suite has": (
        '<testsuites name="all" tests="2"><testsuite name="t" tests="1"><testcase name="a"/></testsuite></testsuites>',
        {"a": P, "all: the rest": E},
    ),
    "tests that were left out and are not named": (suite('tests="3" skipped="2"'), {"a": P, "t: the rest": S}),
    "counts with a comma": (suite('tests="1,002" skipped="1,001"'), {"a": P, "t: the rest": S}),
    "counts that are no numbers": (suite('tests="NaN" failures="" errors="none"'), {"a": P}),
    "counts that are too small": (suite('tests="0"'), {"a": P}),
    "skips under two names": (
        '<testsuite skipped="1" disabled="1"><testcase name="a"><skipped/></testcase></testsuite>',
        {"a": S},
    ),
    "a suite's status": (suite('status="failed"'), {"a": P, "t: the suite itself": E}),
    "a suite's result": (suite('result="Failure"'), {"a": P, "t: the suite itself": E}),
    "a suite's success": (suite('success="False"'), {"a": P, "t: the suite itself": E}),
    "a suite's status that a case explains": (
        '<testsuite name="t" status="failed"><testcase name="a"><failure/></testcase></testsuite>',
        {"a": F},
    ),
    "a suite's flag": (suite('aborted="true"'), {"a": P, "t: the suite itself": E}),
    "a suite's count of what was aborted": (suite('aborted="1"'), {"a": P, "t: the rest": E}),
    "a suite that passed": (suite('status="passed" result="Success"'), {"a": P}),
    # --- documents
    "declaration after blank lines": (f'\n\n<?xml version="1.0"?>\n{case()}', {"a": P}),
    "XML 1.1": (f'<?xml version="1.1"?>{case("<failure>&#27;</failure>")}', {"a": F}),
    "two documents": (
        '<?xml version="1.0"?>\n<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>\n'
        '<?xml version="1.0"?>\n<testsuite><testcase name="b"><failure/></testcase></testsuite>\n',
        {"a": P, "b": F},
    ),
    "a document type": (f"<!DOCTYPE testsuite>{case()}", {"a": P}),
    "a document type that is not fetched": (f'<!DOCTYPE t SYSTEM "http://127.0.0.1:1/x">{case("&amp;&#9;")}', {"a": P}),
    "zeros behind it": (f"{case()}\n\0\0\0", {"a": P}),
    "comments and instructions": (f"<!-- x --><?xml-stylesheet href='x'?>{case()}<!-- end -->", {"a": P}),
    "raw control characters": (case("<failure>\x1b[31mno\x00\x08</failure>"), {"a": F}),
    "bad references": (case("<failure>&#0;&#xD800;&#xFFFE;&#x110000;&#99999999999;</failure>"), {"a": F}),
    # --- frameworks
    "bazel": (
        '<testsuites><testsuite name="//a:t" tests="1" failures="0" errors="1"><testcase name="a" status="run" '
        'duration="1" time="1"><error message="exited with error code 1"></error></testcase></testsuite></testsuites>',
        {"a": E},
    ),
    "jest-junit": (
        '<testsuites name="jest tests" tests="1" failures="0" errors="1"><testsuite name="s" errors="1" failures="0" '
        'skipped="0" tests="1"><testcase classname="Test suite failed to run" name="s" time="0"><error>x</error>'
        "</testcase></testsuite></testsuites>",
        {"s": E},
    ),
    "mocha": (
        '<testsuites name="Mocha Tests" time="0.0010" tests="1" failures="0"><testsuite name="Root Suite" tests="0" '
        'failures="0" time="0"></testsuite><testsuite name="s" tests="1" failures="0"><testcase name="a"/></testsuite>'
        "</testsuites>",
        {"a": P},
    ),
    "ctest": (
        '<testsuite name="ctest" tests="2" failures="0" disabled="1" skipped="1"><testcase name="a" status="disabled">'
        '<skipped message="Disabled"/></testcase><testcase name="b" status="notrun"><skipped message="x"/></testcase>'
        "</testsuite>",
        {"a": S, "b": S},
    ),
    "playwright": (
        '<testsuites id="" name="" tests="1" failures="0" skipped="0" errors="0"><testsuite name="a.spec.ts" tests="1" '
        'failures="0" skipped="0" errors="0"><testcase name="a"><flakyFailure message="x" type="FAILURE"/></testcase>'
        "</testsuite></testsuites>",
        {"a": P},
    ),
    "catch2: counts assertions": (
        '<testsuites><testsuite name="t" errors="0" failures="2" skipped="0" tests="7" hostname="tbd" time="0">'
        '<testcase classname="t.global" name="a" status="run"><failure type="CHECK">x</failure><failure type="CHECK">y'
        '</failure></testcase><testcase classname="t.global" name="b" status="run"/></testsuite></testsuites>',
        {"a": F, "b": P},
    ),
    "nightwatch: counts assertions": (
        '<testsuite name="t" tests="3" failures="0" errors="0"><testcase name="a" assertions="2"/><testcase name="b" '
        'assertions="1"/></testsuite>',
        {"a": P, "b": P},
    ),
    "googletest: failure outside of a test": (
        '<testsuites tests="1" failures="1" errors="0" name="AllTests"><testsuite name="S" tests="1" failures="0">'
        '<testcase name="a" status="run" result="completed"/></testsuite><testsuite name="NonTestSuiteFailure" '
        'tests="1" failures="1"><testcase name="" status="run" result="completed"><failure message="x"/></testcase>'
        "</testsuite></testsuites>",
        {"a": P, "a case without a name": F},
    ),
    "surefire's own schema": (
        '<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="https://x" '
        'version="3.0" name="T" time="1,234.5" tests="2" errors="0" skipped="1" failures="0"><properties><property '
        'name="status" value="failed"/></properties><testcase name="a" classname="T"><system-out><![CDATA[<failure/>]]>'
        '</system-out></testcase><testcase name="b" classname="T"><skipped message="x"/></testcase></testsuite>',
        {"a": P, "b": S},
    ),
    "behave": (
        '<testsuite name="f" tests="2" errors="0" failures="1" skipped="1"><testcase name="a" status="failed"><failure '
        'message="x"/></testcase><testcase name="b" status="untested"><skipped/></testcase></testsuite>',
        {"a": F, "b": S},
    ),
}
"""By kind: the file, and each case that is read of it."""
