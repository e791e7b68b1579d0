"""What a user can get wrong on the command line is one line and exit code 2, before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay.systems.llmd.existing.options import said
from gpuassay.systems.llmd.objects.prompt_files import give, given_prompts

ROOT = Path(__file__).parents[2]


def said_of(*arguments: str) -> str:
    """The one line with which pytest ends."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/llmd/test_any_gateway.py", "-p", "no:cacheprovider", "--plan",
         *arguments],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and "Traceback" not in ended.stdout + ended.stderr, ended.stdout + ended.stderr
    [line] = [one for one in (ended.stdout + ended.stderr).splitlines() if "gpuassay: " in one]
    return line


def test_a_prompts_file_that_cannot_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    """Red when a malformed line is skipped, or found out when the load runs."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "good"}\n{"prompt": ""}\n')
    assert "bad.jsonl, line 2: prompt is empty" in said_of("--prompts", str(bad))


def test_prompts_that_name_no_file_are_refused() -> None:
    """Red when an address is taken for a missing file."""
    told = said_of("--prompts", "https://example.test/p.jsonl")
    assert "nothing is downloaded; fetch it and name the file" in told


def test_what_was_read_is_told_at_the_beginning(tmp_path: Path) -> None:
    """Red when entries are left out, or a file is cut, without a word."""
    file = tmp_path / "talks.json"
    file.write_text('[{"conversations": [{"from": "human", "value": "hi"}]}, {"conversations": []}]')
    try:
        give(file)
        assert said() == [
            f"prompts file {file}: 1 prompts, 1 of them chats, 6 tokens by the simulator's tokenizer; 0 tell how long "
            "the answer is",
            f"prompts file {file}: 1 entry: left out: a conversation without a turn of a user",
        ]
    finally:
        give(None)
    assert not said()


def test_options_about_a_gateway_without_one_are_refused() -> None:
    """Red when an option that has no effect passes in silence."""
    assert "--inference-pool: only with --cluster existing" in said_of("--inference-pool", "a/b")


def test_prompts_are_given_and_taken_back(tmp_path: Path) -> None:
    """Red when prompts of one run are asked in the next, or a refused file leaves some."""
    file = tmp_path / "mine.csv"
    file.write_text("label,prompt\nfirst,hello there\nsecond,good bye\n")
    try:
        give(file)
        assert [one.label for one in given_prompts()] == ["first", "second"]
        (tmp_path / "empty.csv").write_text("")
        with pytest.raises(ValueError, match="empty; it needs at least one prompt"):
            give(tmp_path / "empty.csv")
    finally:
        give(None)
    assert not given_prompts()


def test_mutants_are_tried_on_what_pytests_variable_selects() -> None:
    """Red when PYTEST_ADDOPTS does not reach the tests that mutants are tried on, or an empty selection is silent."""

    def said(selection: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "gpuassay", "mutants", "--suite", "suites/gpu_operator", "--list"],
            cwd=ROOT, env={**os.environ, "PYTEST_ADDOPTS": f"-k {selection}"}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout + ended.stderr

    code, output = said("policy")
    assert code == 0 and "policy-not-ready: the GPU Operator never gets ready (1 behaviours)" in output
    assert "operand-crashes: pods of the device plugin are not ready (0 behaviours)" in output
    assert said("nosuch") == (2, "gpuassay: nothing in suites/gpu_operator is selected\n")
