"""JUnit files of other suites, named on the command line: read, and kept as recordings, so that a replay has them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpuassay.record import junit
from gpuassay.record.recording import Recording, RecordingMeta, write_recording
from gpuassay.record.upstream import Results

OPTION = "--upstream-junit"
RESULTS = pytest.StashKey[list[Results]]()
"""What was imported into this run."""

MARKER = "upstream"
"""Of tests that another project judges."""
IMPORTED = Path("suites", "upstream", "test_imported.py")
"""The module whose tests are the imported cases, from the project's folder."""

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
    suite, version, file = form[1], form[2], Path(form[3])
    cases = junit.read(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Results(suite, version, f"imported from {file.name}, SHA-256 {digest[:12]}", tuple(cases))


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


def keep(results: Sequence[Results], run_dir: Path) -> None:
    """Write them into a run directory."""
    for one in results:
        name = f"{_RECORDING}{one.suite}"
        write_recording(run_dir / "recordings" / name, RecordingMeta(name, notes={"upstream": one.note()}))


def kept(run_dir: Path | None) -> list[Results]:
    """What a run has imported; nothing where there is none.

    Raises:
        RecordingError: the run is damaged.
    """
    folders = sorted((run_dir / "recordings").glob(f"{_RECORDING}*")) if run_dir else []
    return [Results.of_note(Recording.load(folder).notes["upstream"]) for folder in folders]


def nothing_imported(path: Path, config: pytest.Config) -> bool:
    """Whether `path` is the module of imported cases, and there are none: then it declares nothing."""
    return path == config.rootpath / IMPORTED and not config.stash.get(RESULTS, None)


def leave_out(items: list[pytest.Item], config: pytest.Config) -> None:
    """Deselect upstream's own suites, which take a minute and programs of their own, unless `-m` names them."""
    if MARKER in config.option.markexpr:
        return
    imported = config.rootpath / IMPORTED
    left = [item for item in items if item.get_closest_marker(MARKER) is not None and item.path != imported]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
