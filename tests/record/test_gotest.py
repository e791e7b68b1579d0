from __future__ import annotations

from gpuassay.record import gotest
from gpuassay.record.upstream import Case, Outcome

MARK = "\x16"
OUTPUT = f"""\
{MARK}=== RUN   TestSuite
    suite.go:10: applying base manifests
{MARK}=== RUN   TestSuite/Follows
{MARK}=== RUN   TestSuite/Follows/to_one_pod
    one.go:9: asked
{MARK}        --- PASS: TestSuite/Follows/to_one_pod (0.10s)
{MARK}=== NAME  TestSuite/Follows
{MARK}    --- PASS: TestSuite/Follows (0.25s)
{MARK}=== RUN   TestSuite/Weighted
    http.go:5: not yet
    http.go:8: 
        \tError Trace:\t/src/http.go:8
        \t            \t/src/weighted.go:70
        \tError:      \tReceived unexpected error:
        \t            \tcontext deadline exceeded
        \tTest:       \tTestSuite/Weighted
        \tMessages:   \terror waiting for a response
{MARK}    --- FAIL: TestSuite/Weighted (20.01s)
{MARK}=== RUN   TestSuite/LeftOut
    suite.go:68: Skipping LeftOut: suite does not support Mesh
{MARK}    --- SKIP: TestSuite/LeftOut (0.00s)
"""  # noqa: W291 - as Go prints it
CUT = f"{MARK}=== RUN   TestSuite/Begun\n    one.go:3: waiting\n"


def test_every_case_has_its_outcome_time_and_words() -> None:
    """Red when a case is lost, a subtest of one is taken for a case, or a failure loses what it says."""
    cases, said = gotest.read(OUTPUT, "TestSuite")
    assert cases == [
        Case("Follows", Outcome.PASSED, "", 0.25),
        Case(
            "Weighted", Outcome.FAILED,
            "Received unexpected error: context deadline exceeded error waiting for a response", 20.01,
        ),
        Case("LeftOut", Outcome.SKIPPED, "suite.go:68: Skipping LeftOut: suite does not support Mesh", 0.0),
    ]  # fmt: skip
    assert said == "    suite.go:10: applying base manifests"


def test_a_case_without_an_end_is_an_error() -> None:
    """Red when a program that was killed leaves a case that counts as passed, or none."""
    *_, last = gotest.read(OUTPUT + CUT, "TestSuite")[0]
    assert last == Case("Begun", Outcome.ERROR, "it did not come to its end: one.go:3: waiting")


def test_without_a_case_the_suites_own_words_are_left() -> None:
    """Red when a suite that breaks while setting up does not say why."""
    text = f"{MARK}=== RUN   TestSuite\n        \tError:      \tno GatewayClass\n{MARK}--- FAIL: TestSuite (0.1s)"
    cases, said = gotest.read(text, "TestSuite")
    assert not cases
    assert gotest.message(said.splitlines()) == "no GatewayClass"


def test_of_a_long_line_its_end_is_told() -> None:
    """Red when what was wrong is cut off, or a dumped request fills the report."""
    told = gotest.message([f"http.go:1: {'x' * 2000} expected 200, got 429", "http.go:2: gave up"])
    assert "expected 200, got 429\nhttp.go:2: gave up" in told and len(told) < 500


def test_a_result_behind_output_without_a_line_end_counts() -> None:
    """Red when a test that prints no line end is taken for one that did not come to its end."""
    text = f"{MARK}=== RUN   TestSuite/A\n50 %{MARK}    --- FAIL: TestSuite/A (0.10s)\n"
    assert gotest.read(text, "TestSuite")[0] == [Case("A", Outcome.FAILED, "50 %", 0.1)]


def test_what_a_program_prints_is_no_result() -> None:
    """Red when output that looks like a result of the framework is taken for one."""
    printed = "    --- PASS: TestSuite/A (0.00s)\x0b--- PASS: TestSuite/A (0.00s)\n"
    text = f"{MARK}=== RUN   TestSuite/A\n{printed}{MARK}    --- FAIL: TestSuite/A (0.10s)\n"
    [case] = gotest.read(text, "TestSuite")[0]
    assert case.outcome is Outcome.FAILED and "--- PASS" in case.message
    [cut] = gotest.read(text.partition(f"{MARK}    ---")[0], "TestSuite")[0]
    assert cut.outcome is Outcome.ERROR


def test_a_program_that_fails_beside_its_cases_has_not_passed() -> None:
    """Red when a test that breaks after its last subtest leaves passes alone."""
    text = f"{MARK}=== RUN   TestSuite/A\n{MARK}    --- PASS: TestSuite/A (0.10s)\n"
    cases, said = gotest.read(f"{text}{MARK}=== NAME  TestSuite\npanic: in the end\n", "TestSuite")
    [whole] = gotest.as_a_whole(cases, 2, said)
    assert (whole.name, whole.outcome) == ("the suite itself (exit code 2)", Outcome.ERROR)
    assert "panic: in the end" in whole.message
    assert not gotest.as_a_whole(cases, 0, said) and not gotest.as_a_whole(cases, None, said)
    assert not gotest.as_a_whole([Case("A", Outcome.FAILED)], 1, said)
