from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gpuassay import cli
from gpuassay.commands import doctor
from gpuassay.toolchain import ToolchainError, catalogue
from gpuassay.toolchain.catalogue import COMPONENTS, Component
from tests.toolchain.fake import FakeGo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def only_toy(toy: Component, monkeypatch: pytest.MonkeyPatch) -> Component:
    """The toy as the one and only component."""
    for name in list(COMPONENTS):
        if name != "toy":
            monkeypatch.delitem(COMPONENTS, name)
    return toy


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {name}" in printed for name in cli.COMMANDS)


def test_told_to_end_a_command_takes_its_folders_with_it(tmp_path: Path) -> None:
    """Red if SIGTERM leaves a temporary folder of a command behind."""
    command = (
        "import signal, sys, tempfile, types\n"
        "from gpuassay import cli\n"
        "def run(_):\n"
        f"    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):\n"
        "        print('there', flush=True)\n"
        "        signal.pause()\n"
        "cli.parser = lambda *_: types.SimpleNamespace(parse_args=lambda words: types.SimpleNamespace(run=run))\n"
        "sys.exit(cli.main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "there\n"
        program.terminate()
        assert program.wait(20) == 128 + signal.SIGINT
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["doctor", "--no-such-option"]])
def test_wrong_words_end_with_code_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2


def test_a_users_error_is_one_line_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "kueu"]) == 2
    known = ", ".join([*catalogue.COMPONENTS, *(f"group {name}" for name in catalogue.GROUPS)])
    assert capsys.readouterr().err == f"gpuassay: no component is called 'kueu'; there are {known}\n"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "run", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupted)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "gpuassay: interrupted\n"


def test_build_tells_where_each_component_came_from(
    go: FakeGo, toy: Component, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["build", "toy"]) == 0
    assert cli.main(["build", "toy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["toy v1.2.3: one, deux (built from Go modules)", "toy v1.2.3: one, deux (cache)"]


def test_a_machine_that_cannot_have_modules_is_told_apart_from_a_broken_build(go: FakeGo, toy: Component) -> None:
    go.fail_with("go: a@v1: reading https://proxy.test/a: 403 Forbidden")
    assert cli.main(["build", "toy"]) == 3
    go.fail_with("c.go:1:1: expected 'package'")
    assert cli.main(["build", "toy"]) == 2


def test_doctor_is_content_with_built_programs(
    go: FakeGo, only_toy: Component, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["build", "toy"])
    assert cli.main(["doctor", "--verify"]) == 0
    printed = capsys.readouterr().out
    assert "in the cache, built with go1.26.6, every hash checked" in printed
    assert "nothing has to be built" in printed


def test_doctor_says_what_is_missing_and_ends_with_2(
    go: FakeGo, only_toy: Component, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert cli.main(["doctor", "--asset", f"toy={tmp_path / 'empty'}"]) == 2
    printed = capsys.readouterr().out
    assert f"MISSING   --asset toy: {tmp_path / 'empty' / 'one'} is missing" in printed
    assert "The suite cannot run: toy v1.2.3" in printed


def test_every_toolchain_error_has_an_exit_code() -> None:
    assert ToolchainError.exit_code == 2


def test_bootstrap_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap", tmp_path / "scripts")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$1" in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac\n')
    old.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "scripts" / "bootstrap"],
        env=os.environ | {"PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"gpuassay: Python 3.11 or newer is needed; found {old}: Python 3.9.2. Set PYTHON=/path/to/python3\n"
    )
    assert not (tmp_path / ".venv").exists()


def test_the_lock_pins_every_package_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements.txt").read_text()
    requirements = [block for block in text.replace("\\\n", " ").splitlines() if block and block[0].isalpha()]
    assert len(requirements) > 40
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)
    assert "://" not in text


def test_every_direct_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    plain = {re.sub(r"[-_.]+", "-", name).lower() for name in locked}
    wanted = {re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", text)[0]).lower() for text in direct}
    assert wanted <= plain, "run `make lock`"
