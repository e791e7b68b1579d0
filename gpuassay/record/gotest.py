"""Reads what a Go test program prints with `-test.v=test2json`: each line as it happens, results at once.

Source of the format: cmd/test2json and package testing of Go 1.26. Lines of the framework begin with ^V.
"""

from __future__ import annotations

import re

from gpuassay.record.upstream import Case, Outcome

_MARK = "\x16"
_NOW = re.compile(r"=== (?:RUN|NAME|CONT|PAUSE)\s+(\S+)$")
_RESULT = re.compile(r"\s*--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)$")
_OUTCOMES = {"PASS": Outcome.PASSED, "FAIL": Outcome.FAILED, "SKIP": Outcome.SKIPPED}
_TOLD = re.compile(r"\s+(Error|Messages):\s+(.*)")
_LABEL = re.compile(r"\s+(Error Trace|Test):\s")
TAIL = 5
"""Lines of output that stand for a message where testify's assertions gave none."""
BEGIN, END = 80, 260
"""Characters of a long line that are kept: what is wrong stands at its end."""


def read(text: str, test: str) -> tuple[list[Case], str]:
    """The subtests of `test` as cases, and the output of `test` itself, which tells why there are none.

    A subtest that was begun and has no result is an ERROR: the program was cut off.
    """
    results: dict[str, tuple[str, float]] = {}
    output: dict[str, list[str]] = {}
    case = ""
    marked = _MARK in text
    for line in text.removesuffix("\n").split("\n"):
        # a test's own output may end without a line end: then the framework's line begins in the middle of one
        said, mark, told = line.rstrip("\r").rpartition(_MARK)
        if said:
            output.setdefault(case, []).append(said)
        framework = told if mark or not marked else ""  # a program may print such lines itself, without the mark
        if now := _NOW.match(framework):
            case = _case(now[1], test)
            output.setdefault(case, [])
        elif result := _RESULT.match(framework):
            if result[2].count("/") == 1:
                results[_case(result[2], test)] = (result[1], float(result[3]))
        else:
            output.setdefault(case, []).append(told)
    begun = [name for name in output if name]
    return [_read_case(name, results.get(name), output[name]) for name in begun], "\n".join(output.get("", []))


def as_a_whole(cases: list[Case], exit_code: int | None, said: str) -> list[Case]:
    """A case for a program that failed although none of its cases did: in its set-up, its end, or by a panic.

    Args:
        cases: of `read`.
        exit_code: of the program, None where it was ended.
        said: the test's own output, of `read`.
    """
    if not exit_code or any(one.outcome in (Outcome.FAILED, Outcome.ERROR) for one in cases):
        return []
    words = message(said.splitlines())
    return [Case(f"the suite itself (exit code {exit_code})", Outcome.ERROR, words)]


def _case(name: str, test: str) -> str:
    """Name of the subtest directly below `test` that `name` belongs to; "" for `test` itself."""
    parts = name.split("/")
    return parts[1] if parts[0] == test and len(parts) > 1 else ""


def _read_case(name: str, result: tuple[str, float] | None, output: list[str]) -> Case:
    if result is None:
        return Case(name, Outcome.ERROR, f"it did not come to its end: {message(output)}")
    outcome = _OUTCOMES[result[0]]
    return Case(name, outcome, "" if outcome is Outcome.PASSED else message(output), result[1])


def message(output: list[str]) -> str:
    """Why a test failed, in its own words: what testify's assertions say, else its last lines."""
    said: list[str] = []
    inside = False
    for line in output:
        if label := _TOLD.match(line):
            inside = True
            said.append(label[2].strip())
        elif _LABEL.match(line) or not line.startswith("        "):
            inside = False
        elif inside and line.strip():
            said.append(line.strip())
    return " ".join(said) or "\n".join(_short(line.strip()) for line in output[-TAIL:])


def _short(line: str) -> str:
    return line if len(line) <= BEGIN + END else f"{line[:BEGIN]} ... {line[-END:]}"
