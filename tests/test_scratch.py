"""Temporary folders go with their owner, also where it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import scratch

HOLDER = """
import sys
from gpuassay.scratch import take
folder = take("trial")
(folder / "secret").write_text("s3cret")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of our own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    for folder in list(scratch._held):  # pyright: ignore[reportPrivateUsage]
        scratch.drop(folder)


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process that has a folder, until its input ends."""
    held = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert held.stdout is not None
    return held, Path(held.stdout.readline().strip())


def test_a_folder_is_private_and_goes_with_its_block(place: Path) -> None:
    """Red when somebody else may read it, or it stays."""
    with scratch.scratch("trial") as folder:
        assert folder.parent == place and folder.stat().st_mode & 0o77 == 0
    assert not folder.exists()


def test_a_folder_goes_with_a_process_that_ends() -> None:
    """Red when nothing is cleared away at the end of the interpreter."""
    held, folder = holder()
    held.communicate("")
    assert held.returncode == 0 and not folder.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_folder_takes_those_of_killed_processes_along(how: signal.Signals) -> None:
    """Red when what a killed process has written stays, or a living one loses its folder."""
    (killed, left), (living, kept) = holder(), holder()
    killed.send_signal(how)
    killed.communicate()
    assert (left / "secret").exists()
    scratch.take("trial")
    assert not left.exists() and (kept / "secret").exists()
    living.communicate("")


def test_what_is_not_known_to_be_left_stays(place: Path) -> None:
    """Red when folders of another purpose, files, links, or a folder that is just being made are removed."""
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / scratch.OWNER).touch()
    (place / "gpuassay-trial-link").symlink_to(elsewhere)
    (place / "gpuassay-trial-file").touch()
    (place / "gpuassay-trial-new").mkdir()
    (place / "gpuassay-other-one").mkdir()
    (place / "gpuassay-other-one" / scratch.OWNER).touch()
    before = {str(one) for one in place.rglob("*")}
    scratch.clear("trial")
    assert {str(one) for one in place.rglob("*")} == before


def test_an_old_folder_without_an_owner_goes(place: Path) -> None:
    """Red when folders of processes that were killed before they could lock anything gather for ever."""
    old = place / "gpuassay-trial-old"
    old.mkdir()
    os.utime(old, (0, 0))
    scratch.clear("trial")
    assert not old.exists()
