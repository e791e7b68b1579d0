"""Options of the plugin: whatever is given, what was meant, or a line that says what is wrong; nothing is dropped."""

from __future__ import annotations

import argparse
import os
import resource
from pathlib import Path
from typing import Any, cast

import pytest

from gpuassay.session import options, upstream
from tests.outcome import Outcome
from tests.plugin.conftest import SmallSuite

GOOD = '@says("demo.a.good")\ndef test_good(act):\n    """It holds."""\n    assert act.note(ANSWER) == 42\n'


class Parser(argparse.ArgumentParser):
    """The plugin's options alone."""

    def __init__(self) -> None:
        super().__init__(exit_on_error=False, allow_abbrev=False)
        self.addoption = self.add_argument
        options.add_options(cast("pytest.OptionGroup", self))

    def error(self, message: str) -> Any:
        raise ValueError(message)


def parsed(words: str) -> argparse.Namespace:
    return Parser().parse_args(words.split())


WITH_VALUE = [one.option_strings[0] for one in Parser()._actions if one.nargs is None and not one.choices]


@pytest.mark.parametrize("option", WITH_VALUE)
def test_no_option_takes_an_empty_value(option: str) -> None:
    """Red when `--replay=$RUN` with an unset variable starts a live run, or `--mutant=` breaks nothing."""
    with pytest.raises(argparse.ArgumentError, match="the value is empty"):
        Parser().parse_args([f"{option}="])


@pytest.mark.parametrize(
    "option", ["--run-dir", "--replay", "--gpuassay-kubeconfig", "--gpu-operator-source", "--prompts"]
)
def test_paths_may_begin_at_the_home_folder(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when an option that names a file knows no `~`."""
    monkeypatch.setenv("HOME", "/home/me")
    parser = Parser()
    (action,) = (one for one in parser._actions if option in one.option_strings)
    assert getattr(parser.parse_args([f"{option}=~/x"]), action.dest) == "/home/me/x"


REPLAY = "--replay judges what a run has recorded, nothing is acted out: leave out "
EXISTING = "only with --cluster existing"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--replay R --mutant identity", f"{REPLAY}--mutant"),
        ("--replay R --full", f"{REPLAY}--full"),
        ("--replay R --asset kueue=D", f"{REPLAY}--asset"),
        ("--replay R --cluster existing", f"{REPLAY}--cluster existing"),
        ("--replay R --gpuassay-kubeconfig K", f"{REPLAY}--gpuassay-kubeconfig"),
        ("--replay R --allow-cluster-mutation", f"{REPLAY}--allow-cluster-mutation"),
        ("--gpuassay-kubeconfig K", f"--gpuassay-kubeconfig: {EXISTING}"),
        ("--replay R --cluster kind", f"{REPLAY}--cluster kind"),
        ("--cluster existing --kind-config C", "--kind-config: only with --cluster kind"),
        ("--kind-load A", "--kind-load: only with --cluster kind"),
        ("--cluster kind --gpuassay-kubeconfig K", "--cluster kind makes a cluster of its own"),
        ("--cluster kind --kueue install --kind-load A", ""),
        ("--gpuassay-context C", f"--gpuassay-context: {EXISTING}"),
        ("--allow-cluster-mutation", f"--allow-cluster-mutation: {EXISTING}"),
        ("--gpuassay-image I", f"--gpuassay-image: {EXISTING}"),
        ("--kueue install --mutant identity", "--kueue install: only with --cluster existing"),
        ("--gpu-operator install", f"--gpu-operator install: {EXISTING}"),
        ("--cluster existing --gpu-operator-values V", "--gpu-operator-values needs also --gpu-operator install"),
        ("--setup-only", "--setup-only runs no test"),
        ("-n -1", "-n -1: the number of workers is 0 or more"),
        ("--replay R --no-recorded --run-dir D --build slices -n 4", ""),
        ("--mutant identity --full --asset kueue=D --build slices", ""),
        ("--cluster existing --gpuassay-kubeconfig K --gpuassay-context C --gpuassay-image I --build slices", ""),
        ("--setup-plan --setup-only -n 0", ""),
    ],
)
def test_options_without_effect_are_refused(words: str, line: str) -> None:
    """Red when an option is dropped without a word, so that a result is read as another's."""
    parser = Parser()
    parser.add_argument("--setup-only", dest="setuponly", action="store_true")
    parser.add_argument("--setup-plan", dest="setupplan", action="store_true")
    parser.add_argument("-n", dest="numprocesses", type=int)
    option = parser.parse_args(words.split())
    if not line:
        options.refuse_contradictions(option)
        return
    with pytest.raises(pytest.UsageError) as told:
        options.refuse_contradictions(option)
    assert line in str(told.value) and "\n" not in str(told.value)


def clean(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.output and "INTERNALERROR" not in outcome.output, outcome.output
    return outcome


OFF = ("junitxml", "allure_pytest", "timeout", "benchmark", "xdist", "logging")


def test_plugins_that_only_report_may_be_switched_off(suite: SmallSuite) -> None:
    """Red when a missing plugin's option, mark or setting ends the run."""
    suite.write('pytestmark = [pytest.mark.timeout(9), pytest.mark.benchmark(group="x")]\n' + GOOD)
    with (suite.folder / "pytest.ini").open("a") as ini:
        ini.write("timeout = 300\ntimeout_method = thread\ntimeout_func_only = true\n")
    outcome = clean(suite.run("--strict-config", *(word for name in OFF for word in ("-p", f"no:{name}"))))
    assert outcome.code == 0 and outcome.states == {"demo.a.good": "PASS"}, outcome.output
    assert not (outcome.run / "junit.xml").exists() and (outcome.run / "report.html").exists()


def test_nothing_is_judged_without_the_plugins_that_judge(suite: SmallSuite) -> None:
    """Red when known defects count as failures, or no test is found, for want of a plugin."""
    suite.write(GOOD)
    outcome = clean(suite.run("-p", "no:skipping"))
    assert outcome.code == 4 and "-p no:skipping: suites cannot be judged without it" in outcome.output


def test_no_plugin_is_loaded_on_its_own(suite: SmallSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when PYTEST_DISABLE_PLUGIN_AUTOLOAD ends a run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    suite.write(GOOD)
    assert clean(suite.run()).code == 0


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_called_latest_and_not_ours_stays(suite: SmallSuite, kind: str) -> None:
    """Red when `--run-dir` beside something of the user's that is called `latest` replaces it, or breaks the run."""
    latest = suite.folder / "latest"
    mine = suite.folder / "mine"
    mine.mkdir()
    (mine / "note").write_text("mine")
    if kind == "file":
        latest.write_text("mine")
    elif kind == "folder":
        latest.mkdir()
    else:
        latest.symlink_to(mine)
    suite.write(GOOD)
    outcome = clean(suite.run("--run-dir=runs"))
    assert outcome.code == 0 and f"{latest} is no link of ours and stays as it is" in outcome.output
    assert latest.is_symlink() == (kind == "link") and (mine / "note").read_text() == "mine"
    assert kind != "file" or latest.read_text() == "mine"
    assert not list(suite.folder.glob(".latest*"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--run-dir=pytest.ini"], "pytest.ini: this is a file; name a folder with --run-dir"),
        (["--run-dir=dangling"], "dangling: this link leads nowhere; name a folder with --run-dir"),
        (["--run-dir=STORED"], "a run is kept here; name the folder above it"),
        (["--run-dir=" + "a" * 300], "File name too long"),
        (["--replay", "pipe"], "neither a run directory nor a regular file"),
        (["--replay", "a" * 300], "File name too long"),
        (["--build", "nosuch"], "no component is called 'nosuch'"),
        (["--junitxml=pytest.ini/x.xml"], "pytest.ini is a file, not a folder; name another place"),
        (["--alluredir=pytest.ini"], "this is a file; name a folder"),
    ],
)
def test_places_that_cannot_be_used_are_one_line(suite: SmallSuite, words: list[str], line: str) -> None:
    """Red when a place is found out as unusable after the run, by a traceback, or by waiting for a pipe."""
    suite.write(GOOD)
    (suite.folder / "dangling").symlink_to("nothing")
    os.mkfifo(suite.folder / "pipe")
    before = sorted(suite.folder.iterdir())
    outcome = clean(suite.run(*(word.replace("STORED", str(suite.stored)) for word in words)))
    told = [one for one in outcome.output.splitlines() if "gpuassay: " in one]
    assert outcome.code in (2, 4) and len(told) == 1 and line in told[0], outcome.output
    assert (
        len(told[0]) < 2100 and [one for one in sorted(suite.folder.iterdir()) if one.name != ".benchmarks"] == before
    )


def test_setup_plan_lists_and_judges_nothing(suite: SmallSuite) -> None:
    """Red when a cluster is started, or behaviours end as ERROR, where pytest is asked what it would do."""
    suite.write(GOOD)
    outcome = clean(suite.run("--setup-plan"))
    assert outcome.code == 0 and "test_good" in outcome.output and "ERROR" not in outcome.output
    assert not (suite.folder / "reports").exists()


def test_a_disk_that_fills_up_is_one_line_and_no_green_run(suite: SmallSuite) -> None:
    """Red when results that cannot be kept end in a traceback, or the run is green."""
    suite.write(GOOD)
    outcome = clean(suite.run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))))
    assert outcome.code == 1 and "gpuassay: no report: " in outcome.output and "File too large" in outcome.output


def test_a_file_of_another_suite_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when `--upstream-junit` knows no `~`."""
    (tmp_path / "j.xml").write_text('<testsuite tests="1"><testcase name="a"/></testsuite>')
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [one.name for one in upstream.read("a@1=~/j.xml").cases] == ["a"]


def test_a_stored_run_is_judged_from_any_folder(suite: SmallSuite, tmp_path: Path) -> None:
    """Red when a blank or a letter beyond ASCII in a path, or another locale, ends a run."""
    suite.write(GOOD)
    strange = tmp_path / "größe 名"
    outcome = clean(suite.run(f"--run-dir={strange}/läufe"))
    assert outcome.code == 0 and (strange / "latest" / "report.html").exists()
