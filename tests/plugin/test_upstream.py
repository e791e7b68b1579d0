"""Other suites' results become verdicts of a run, as theirs; upstream's own suites run only where they are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JUNIT = """<testsuite name="e2e" tests="4">
<testcase name="holds" time="1.5"/><testcase name="fails"><failure message="still there"/></testcase>
<testcase name="left out"><skipped message="no GPU"/></testcase></testsuite>"""
STATES = {"holds": "PASS", "fails": "FAIL", "left out": "SKIP", "e2e: the rest": "ERROR"}


def _pytest(*arguments: str, of: str = "suites/upstream", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", of, *arguments],
        cwd=cwd, env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _states(run: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    return {line["behaviour"]: line["state"] for line in lines}


def _run_of(base: Path) -> Path:
    [run] = base.iterdir()
    return run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "their.xml"
    file.write_text(JUNIT)
    return file


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_case_ends_as_its_own_suite_says_and_says_whose_judgement_that_is(
    results: Path, tmp_path: Path, workers: str
) -> None:
    """Red when a case is lost, ends otherwise than its suite says, or reads as if gpuassay had judged it."""
    done = _pytest("-n", workers, "--run-dir", str(tmp_path / "runs"), "--upstream-junit", f"their@v1.2={results}")
    lines = [json.loads(line) for line in (_run_of(tmp_path / "runs") / "verdicts.jsonl").read_text().splitlines()]
    assert {line["behaviour"]: line["state"] for line in lines} == {
        f"upstream.their[{name}]": state for name, state in STATES.items()
    }, done.stdout
    [failed] = [line for line in lines if line["state"] == "FAIL"]
    assert (failed["reason"], failed["spec"]) == ("judged by their v1.2: still there", "their v1.2")
    assert done.returncode == 1


def test_a_replay_has_what_was_imported(results: Path, tmp_path: Path) -> None:
    """Red when imported verdicts are lost once the file is, or come out otherwise."""
    _pytest("--run-dir", str(tmp_path / "first"), "--upstream-junit", f"their@v1.2={results}")
    results.unlink()
    first = _run_of(tmp_path / "first")
    _pytest("--run-dir", str(tmp_path / "second"), "--replay", str(first))
    assert (_run_of(tmp_path / "second") / "verdicts.jsonl").read_text() == (first / "verdicts.jsonl").read_text()


CACHE = ("-p", "no:cacheprovider")


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("suites/upstream", ("-k", "nothing_is_called_so", *CACHE)),
        ("suites/upstream", ("-m", "perf", "-n", "2", *CACHE)),
        ("suites/upstream/test_gaie.py", CACHE),
        ("tests/record/test_gotest.py", CACHE),
        ("tests/record/test_gotest.py", ("-n", "1", *CACHE)),
        ("suites/upstream/test_imported.py::test_another_suites_case[holds]", CACHE),
        ("suites/upstream", ("--deselect", "suites/upstream/test_imported.py", *CACHE)),
        ("suites/upstream", ("--ignore", "suites/upstream/test_imported.py", *CACHE)),
        ("tests/record/test_gotest.py", ("--ignore-glob", "*/upstream*", "--ignore", "suites", *CACHE)),
        ("suites/upstream", ("--lf", "-o", "cache_dir={cache}")),
    ],
)
def test_a_file_that_is_given_counts_whatever_else_is_selected(
    results: Path, tmp_path: Path, of: str, words: tuple[str, ...]
) -> None:
    """Red when a selection of other tests makes another suite's failure vanish, and the run green."""
    cache = tmp_path / "cache" / "v" / "cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text('{"suites/upstream/test_imported.py::test_another_suites_case[holds]": true}')
    words = tuple(word.format(cache=tmp_path / "cache") for word in words)
    done = _pytest("--run-dir", str(tmp_path / "runs"), "--upstream-junit", f"their@v1.2={results}", *words, of=of)
    states = _states(_run_of(tmp_path / "runs"))
    assert states == {f"upstream.their[{name}]": state for name, state in STATES.items()}, done.stdout
    assert done.returncode == 1


def test_a_file_that_cannot_be_collected_is_no_green_run(results: Path, tmp_path: Path) -> None:
    """Red when an option that hides the imported cases hides their failures."""
    given = ("--upstream-junit", f"their@v1.2={results}", "--run-dir", str(tmp_path / "runs"))
    done = _pytest(*given, *CACHE, "-o", "python_functions=nothing")
    said = done.stdout + done.stderr
    assert done.returncode == 4 and "of 4 imported cases 0 were collected" in said and "Traceback" not in said, said


def test_a_project_without_the_module_that_judges_says_so(results: Path, tmp_path: Path) -> None:
    """Red when a file is passed over in silence where nothing can judge it."""
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "test_one.py").write_text("def test_one() -> None:\n    pass\n")
    done = _pytest(
        "--upstream-junit", f"their@v1.2={results}", "-p", "gpuassay.plugin", *CACHE, of="test_one.py", cwd=tmp_path
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2 and "has no suites/upstream/test_imported.py, which judges what is imported" in said


def test_what_is_given_is_listed_and_planned(results: Path) -> None:
    """Red when `--collect-only` or `--plan` does not tell of the cases that would count."""
    given = ("--upstream-junit", f"their@v1.2={results}", *CACHE, "-k", "nothing_is_called_so")
    assert "4/18 tests collected" in _pytest("--collect-only", "-q", *given).stdout
    assert "  upstream: 4" in _pytest("--plan", *given).stdout


def test_cases_keep_their_names_whatever_these_are(tmp_path: Path) -> None:
    """Red when a name of two suites gets a number of pytest's, a name is escaped, or a time is no JSON."""
    for suite, body in (("one", "<failure/>"), ("two", "")):
        text = (
            f'<testsuite><testcase name="a" time="NaN">{body}</testcase><testcase name="通过 [{suite}] é"/></testsuite>'
        )
        (tmp_path / f"{suite}.xml").write_text(text)
    given = [word for name in ("one", "two") for word in ("--upstream-junit", f"{name}@v1={tmp_path / name}.xml")]
    done = _pytest("--run-dir", str(tmp_path / "runs"), *given, *CACHE)
    run = _run_of(tmp_path / "runs")
    assert _states(run) == {
        "upstream.one[a]": "FAIL",
        "upstream.one[通过 [one] é]": "PASS",
        "upstream.two[a]": "PASS",
        "upstream.two[通过 [two] é]": "PASS",
    }, done.stdout
    for file in (*run.rglob("*.json"), *run.rglob("*.jsonl")):
        assert "NaN" not in file.read_text(), file


def test_a_replay_counts_what_was_imported_and_what_is_given_anew(results: Path, tmp_path: Path) -> None:
    """Red when a file that is given to a replay hides what the run had, or a replay of a replay loses it."""
    _pytest("--run-dir", str(tmp_path / "1"), "--upstream-junit", f"their@v1.2={results}", *CACHE)
    first = ("--replay", str(_run_of(tmp_path / "1")))
    clash = _pytest("--run-dir", str(tmp_path / "x"), *first, "--upstream-junit", f"their@v2={results}", *CACHE)
    assert clash.returncode == 2 and "has results: give the file another NAME" in clash.stdout + clash.stderr
    assert not (tmp_path / "x").exists()
    _pytest("--run-dir", str(tmp_path / "2"), *first, "--upstream-junit", f"other@v2={results}", *CACHE)
    second = _run_of(tmp_path / "2")
    assert _states(second) == {
        f"upstream.{of}[{name}]": one for of in ("their", "other") for name, one in STATES.items()
    }
    _pytest("--run-dir", str(tmp_path / "3"), "--replay", str(second), *CACHE)
    assert _states(_run_of(tmp_path / "3")) == _states(second)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["their=junit.xml"], "--upstream-junit their=junit.xml: it must be NAME@VERSION=FILE"),
        (["their@v1=absent.xml"], "absent.xml cannot be read: No such file or directory"),
        (["their@v1={}", "their@v2={}"], "--upstream-junit names their 2 times: give each file a NAME of its own"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_leaves_nothing(
    results: Path, tmp_path: Path, given: list[str], said: str
) -> None:
    """Red when a bad option or file is a traceback, passes in silence, or is found out when a run has begun."""
    words = [word for one in given for word in ("--upstream-junit", one.format(results))]
    done = _pytest("--run-dir", str(tmp_path / "runs"), *words)
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    [line] = [one for one in (done.stdout + done.stderr).splitlines() if "gpuassay: " in one]
    assert said in line and not (tmp_path / "runs").exists()


def test_upstreams_own_tests_run_only_where_they_are_named() -> None:
    """Red when a plain run takes upstream's suites along, or `-m upstream` does not find them all."""
    assert "14 deselected" in _pytest("--collect-only", "-q").stdout
    assert "14 tests collected" in _pytest("--collect-only", "-q", "-m", "upstream").stdout
    assert "  upstream: 14" in _pytest("--plan", "-m", "upstream").stdout
