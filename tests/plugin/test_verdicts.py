"""Every declared behaviour ends in exactly one state, whatever happens to its test."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gpuassay.behaviours import known_defect
from tests.plugin.conftest import SmallSuite

SIX = '''
@says("demo.states.pass")
def test_pass(act):
    """Holds."""
    assert act.note(ANSWER) == 42

@says("demo.states.fail")
def test_fail(act):
    assert act.note(ANSWER) == 43, "expected 43"

@says("demo.states.suite-broke")
def test_suite_broke(act):
    act.mark("no such mark")

@says("demo.states.scenario-broke")
def test_scenario_broke(broken):
    pass

@says("demo.states.lacking")
def test_lacking(lacking):
    pass

@says("demo.states.unheard")
def test_unheard(unheard):
    pass

@says("demo.states.needs")
@needs("mig-node")
def test_needs(act):
    pass

@says("demo.states.noise")
def test_noise(act):
    raise Inconclusive("the interval contains 1")

@says("demo.states.defect")
@known_defect("https://example.org/1", "wrong upstream", shows="42 == 43")
def test_defect(act):
    assert act.note(ANSWER) == 43

@says("demo.states.another-failure")
@known_defect("https://example.org/1", "wrong upstream", shows="seen 43")
def test_another_failure(act):
    assert act.note(ANSWER) == 43, "expected 43, seen 42"

@says("demo.states.mended-defect")
@known_defect("https://example.org/2", "mended upstream", shows="42 == 43")
def test_mended(act):
    pass

@says("demo.states.teardown")
def test_teardown(act, breaks_late):
    pass

@pytest.fixture
def breaks_late():
    yield
    raise OSError("disk gone")
'''

EXPECTED = {
    "pass": "PASS",
    "fail": "FAIL",
    "suite-broke": "ERROR",
    "scenario-broke": "ERROR",
    "lacking": "SKIP",
    "unheard": "SKIP",
    "needs": "SKIP",
    "noise": "INCONCLUSIVE",
    "defect": "KNOWN-DEFECT",
    "another-failure": "FAIL",
    "mended-defect": "FAIL",
    "teardown": "ERROR",
}


def test_each_end_has_its_state(suite: SmallSuite) -> None:
    """Red when a broken suite reads as a refuted system, or noise, defects and gaps as something else."""
    suite.write(SIX)
    outcome = suite.run()
    assert outcome.states == {f"demo.states.{name}": state for name, state in EXPECTED.items()}
    assert outcome.code == 1
    verdicts = outcome.verdicts
    assert "expected 43" in verdicts["demo.states.fail"]["reason"]
    assert "WaitTimeout: waiting for a queue" in verdicts["demo.states.scenario-broke"]["reason"]
    assert verdicts["demo.states.lacking"]["reason"] == "the cluster lacks: mig"
    assert verdicts["demo.states.needs"]["reason"] == "the cluster lacks: mig-node"
    assert verdicts["demo.states.noise"]["reason"] == "the interval contains 1"
    assert verdicts["demo.states.defect"]["link"] == "https://example.org/1"
    first = verdicts["demo.states.another-failure"]["reason"].splitlines()[0]
    assert first == (
        "not the known defect https://example.org/1, which shows as 'seen 43': expected 43, seen 42 "
        "(recording demo.topic.act)"
    )
    assert "12 behaviours declared" in outcome.output
    assert "REPLAY" in outcome.output


def test_a_recording_that_is_missing_is_an_error_and_one_that_never_was_is_a_gap(suite: SmallSuite) -> None:
    """Red when recordings can be taken out of a stored run unseen, or a new behaviour breaks old runs."""
    suite.write('@says("demo.a.one")\ndef test_one(act): pass\n@says("demo.a.two")\ndef test_two(unheard): pass\n')
    first = suite.run("-k", "test_one")
    (suite.stored / "verdicts.jsonl").write_bytes((first.run / "verdicts.jsonl").read_bytes())
    outcome = suite.run()
    assert outcome.states == {"demo.a.one": "PASS", "demo.a.two": "SKIP"}
    assert "not part of the replayed run" in outcome.verdicts["demo.a.two"]["reason"]
    shutil.rmtree(suite.stored / "recordings" / "demo.topic.act")
    outcome = suite.run()
    assert (outcome.code, outcome.states) == (2, {"demo.a.one": "ERROR", "demo.a.two": "SKIP"})
    assert "is missing: the run judged it" in outcome.verdicts["demo.a.one"]["reason"]
    (suite.stored / "verdicts.jsonl").unlink()
    outcome = suite.run()
    assert (outcome.code, set(outcome.states.values())) == (2, {"ERROR"})
    assert "no verdicts.jsonl, so nothing tells which recordings the run had" in outcome.output


@pytest.mark.parametrize("shows", ["", ".*", "(", "x?"])
def test_what_a_known_defect_shows_must_tell_it_from_other_failures(shows: str) -> None:
    """Red when a known defect can be declared that excuses any failure."""
    with pytest.raises(ValueError, match="shows="):
        known_defect("https://example.org/1", "wrong upstream", shows=shows)(lambda: None)


def test_verdicts_of_a_replay_are_equal_byte_for_byte(suite: SmallSuite) -> None:
    """Red when verdicts hold times, addresses or an undefined order."""
    suite.write(SIX)
    first = (suite.run().run / "verdicts.jsonl").read_bytes()
    assert (suite.run("-n", "2").run / "verdicts.jsonl").read_bytes() == first


def test_a_run_that_proved_nothing_is_not_green(suite: SmallSuite) -> None:
    """Red when a run in which everything was skipped exits with 0."""
    suite.write('@says("demo.a.b")\ndef test_one(lacking): pass\n')
    outcome = suite.run()
    assert outcome.states == {"demo.a.b": "SKIP"}
    assert outcome.code == 1


def test_a_run_that_executed_nothing_is_not_green(suite: SmallSuite) -> None:
    """Red when selecting nothing exits with 0."""
    suite.write('@says("demo.a.b")\ndef test_one(act): pass\n')
    assert suite.run("-k", "nothing_is_called_so").code == 5


def test_a_crashed_worker_leaves_an_error(suite: SmallSuite) -> None:
    """Red when a test that takes its worker with it vanishes from verdicts, JUnit or Allure."""
    suite.write(
        '@says("demo.a.crash")\ndef test_crash(act): os._exit(7)\n'
        + "".join(f'@says("demo.a.fine-{n}")\ndef test_fine_{n}(act): pass\n' for n in range(4))
    )
    outcome = suite.run("-n", "2")
    assert outcome.states.pop("demo.a.crash") == "ERROR"
    assert outcome.states == {f"demo.a.fine-{n}": "PASS" for n in range(4)} | {"demo.a.crash": "ERROR"}
    assert outcome.code == 1
    cases = ElementTree.parse(outcome.run / "junit.xml").getroot().iter("testcase")
    crashed = [case for case in cases if case.get("name") == "test_crash"]
    assert crashed
    assert any(child.tag in {"error", "failure"} for child in crashed[0])
    results = [json.loads(path.read_text()) for path in (outcome.run / "allure-results").glob("*-result.json")]
    assert any(result["status"] == "broken" and "test_crash" in result["fullName"] for result in results)


def test_an_interrupted_run_reports_what_was_done(suite: SmallSuite) -> None:
    """Red when Ctrl-C loses the report, or the tests that had no turn."""
    suite.write(
        '@says("demo.a.done")\ndef test_done(act): pass\n'
        '@says("demo.a.interrupted")\ndef test_interrupted(act):\n'
        '    open("reached", "w").close()\n'
        # a signal that comes between two instructions does not end one long sleep that has yet to begin
        "    for _ in range(600): time.sleep(0.1)\n"
        '@says("demo.a.later")\ndef test_later(act): pass\n'
    )
    # a shell's background job passes on that interrupts are ignored
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *suite.command()],
        cwd=suite.folder,
        env=suite.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (suite.folder / "reached").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    run = suite.folder / "reports" / "latest"
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    assert {line["behaviour"]: line["state"] for line in lines} == {
        "demo.a.done": "PASS",
        "demo.a.interrupted": "ERROR",
        "demo.a.later": "ERROR",
    }
    assert process.returncode == 2
    assert (run / "report.html").exists()
    assert "report:" in output


def test_declarations_are_checked(suite: SmallSuite) -> None:
    """Red when a test without a behaviour, or two tests with one id, are let in."""
    suite.write("def test_nothing_declared(act): pass\n")
    outcome = suite.run()
    assert "test_nothing_declared: a test of a suite must declare a behaviour" in outcome.output
    assert outcome.code == 4
    suite.write('@says("demo.a.b")\ndef test_one(act): pass\n@says("demo.a.b")\ndef test_two(act): pass\n')
    assert "demo.a.b is declared twice" in suite.run().output


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ('@behaviour("demo.a.b", level=MUST, spec="s", red_when="x", mutant="zzz")', "no mutant is called 'zzz'; "),
        ('@needs("zzz")\n@says("demo.a.b")', "no cluster has a capability called 'zzz'; there are audit-log, "),
    ],
)
def test_a_name_like_no_other_is_one_short_line(suite: SmallSuite, written: str, line: str) -> None:
    """Red when a name that nobody knows is let in, or is answered with a wall of some hundred others."""
    suite.write(f'from gpuassay import MUST, behaviour, needs\n{written}\ndef test_one(act):\n    """One."""\n')
    outcome = suite.run()
    [told] = [one for one in outcome.output.splitlines() if line in one]
    assert outcome.code == 4 and len(told) < 700, told


def test_bad_input_is_one_line_and_exit_code_2(suite: SmallSuite, tmp_path: Path) -> None:
    """Red when bad input shows a traceback, another code, or leaves a run directory."""
    suite.write('@says("demo.a.b")\ndef test_one(act): pass\n')
    (tmp_path / "cut.tar.xz").write_bytes(b"\xfd7zXZ\x00 cut off")
    for arguments, message in (
        (["--mutant", "no-such"], "unknown mutant 'no-such'"),
        (["--replay", str(tmp_path / "absent")], "no such run directory or archive"),
        (["--replay", str(tmp_path / "cut.tar.xz")], "cut.tar.xz"),
    ):
        outcome = suite.run(*arguments)
        assert outcome.code == 2, outcome.output
        assert message in outcome.output
        assert "Traceback" not in outcome.output


def test_a_doctored_recording_is_refused(suite: SmallSuite) -> None:
    """Red when a recording that was changed by hand is judged as if it were what happened."""
    suite.write('@says("demo.a.b")\ndef test_one(act): pass\n@says("demo.a.c")\ndef test_two(lacking): pass\n')
    place = suite.stored / "recordings" / "demo.topic.act" / "events.jsonl"
    place.write_text('{"at": 1, "type": "ADDED", "object": {"kind": "Workload", "metadata": {"name": "x"}}}\n')
    outcome = suite.run()
    assert outcome.states["demo.a.b"] == "ERROR"
    assert "events.jsonl" in outcome.verdicts["demo.a.b"]["reason"]
    assert outcome.code == 2
    assert "a recording cannot be used, so this is no replay of the run: " in outcome.output


def test_a_recording_that_takes_the_place_of_another_is_refused(suite: SmallSuite) -> None:
    """Red when a recording can be judged under the name of another scenario; what is sound is judged all the same."""
    suite.write('@says("demo.a.b")\ndef test_one(act): pass\n@says("demo.a.c")\ndef test_two(unheard): pass\n')
    kept = suite.stored / "recordings"
    shutil.copytree(kept / "demo.topic.act", kept / "demo.topic.unheard")
    outcome = suite.run()
    assert (outcome.code, outcome.states) == (2, {"demo.a.b": "PASS", "demo.a.c": "ERROR"})
    told = outcome.verdicts["demo.a.c"]["reason"]
    assert "this is the recording of demo.topic.act, not of demo.topic.unheard: exchanged" in told


def test_two_scenarios_of_one_id_are_named(suite: SmallSuite) -> None:
    """Red when the second silently takes the place of the first, and tests judge the wrong recording."""
    suite.write('@says("demo.states.pass")\ndef test_pass(act): pass\n')
    twin = suite.folder / "demo"
    twin.mkdir()
    (twin / "__init__.py").touch()
    text = "from gpuassay import scenario\n@scenario()\ndef act(lab): pass\n"
    (twin / "test_topic.py").write_text(text)
    outcome = suite.run("demo")
    assert outcome.code != 0
    assert "scenario demo.topic.act is declared in " in outcome.output and "rename one of them" in outcome.output
