"""JUnit files of other suites, named on the command line: read, and kept as recordings, so that a replay has them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpuassay.record import junit, upstream
from gpuassay.record.pack import open_run
from gpuassay.record.recording import Recording, RecordingMeta, write_recording
from gpuassay.record.upstream import Results

OPTION = "--upstream-junit"
RESULTS = pytest.StashKey[list[Results]]()
"""What was imported into this run, or into the one that it judges again."""
GIVEN = pytest.StashKey[frozenset[str]]()
"""The suites among these whose files are given to this run."""

_FORM = re.compile(r"([a-z0-9][a-z0-9-]*)@([^=\s]+)=(.+)")
_RECORDING = "upstream.junit."


class BadImport(Exception):  # noqa: N818 - reads as what it is
    """The option cannot be understood; the message is one line."""

    exit_code = 2


def read(given: str) -> Results:
    """The results that one option names.

    Raises:
        BadImport: it is not of the form NAME@VERSION=FILE.
        JUnitError: the file tells nothing.
    """
    form = _FORM.fullmatch(given)
    if form is None:
        example = "NAME@VERSION=FILE, such as gateway-api@v1.6.1=junit.xml"
        raise BadImport(f"{OPTION} {given}: it must be {example} (NAME of lower-case letters, digits and dashes)")
    suite, version = form[1], form[2]
    found = junit.read_source(Path(os.path.expanduser(form[3])))
    left = f"; left out as no JUnit XML: {', '.join(found.left)}" if found.left else ""
    return Results(suite, version, f"imported from {found.name}, SHA-256 {found.digest[:12]}{left}", found.cases)


def given(options: Sequence[str]) -> list[Results]:
    """What the options name.

    Raises:
        BadImport: an option cannot be understood, or names a suite that another one names.
        JUnitError: a file tells nothing.
    """
    found = [read(one) for one in options]
    for suite, count in Counter(one.suite for one in found).items():
        if count > 1:
            raise BadImport(f"{OPTION} names {suite} {count} times: give each file a NAME of its own")
    return found


def declare(config: pytest.Config, given: Sequence[Results], before: Sequence[Results] = ()) -> None:
    """Have a process collect what was given to this run, and what the run that it judges again has had `before`."""
    config.stash[GIVEN] = frozenset(one.suite for one in given)
    config.stash[RESULTS] = [*before, *given]


def declare_in_worker(config: pytest.Config, run_dir: Path) -> None:
    """Have an xdist worker collect what the controller has kept: no file is read twice.

    Raises:
        RecordingError: the run is damaged.
    """
    forms = [_FORM.fullmatch(one) for one in config.option.upstream_junit]
    config.stash[GIVEN] = frozenset(form[1] for form in forms if form)
    config.stash[RESULTS] = kept(run_dir)


def keep(config: pytest.Config, run_dir: Path) -> None:
    """Write all that is imported into a run directory."""
    for one in config.stash[RESULTS]:
        name = f"{_RECORDING}{one.suite}"
        write_recording(
            run_dir / "recordings" / name,
            RecordingMeta(name, notes={upstream.RESULTS.name: upstream.RESULTS.as_json(one)}),
        )


def kept(run_dir: Path | None) -> list[Results]:
    """What a run has imported; nothing where there is none.

    Raises:
        RecordingError: the run is damaged.
    """
    folders = sorted((run_dir / "recordings").glob(f"{_RECORDING}*")) if run_dir else []
    return [Recording.load(folder).note(upstream.RESULTS) for folder in folders]


def distinct(results: Sequence[Results], replay: str | None) -> None:
    """Check that no file hides what the run that is judged again, `replay`, has imported.

    Raises:
        BadImport: one has the name of a suite in that run.
        RunError: that run cannot be used.
        RecordingError: it is damaged.
    """
    names = {one.suite for one in results}
    for one in kept(open_run(replay)) if names and replay else []:
        if one.suite in names:
            raise BadImport(f"{OPTION} names {one.suite}, of which {replay} has results: give the file another NAME")
