"""Run directories as archives."""

from __future__ import annotations

import argparse
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from gpuassay.commands import pack as command
from gpuassay.record.pack import RunError, open_run, pack
from gpuassay.record.recording import Recording, write_recording
from tests.record.parts import event, meta


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run-7"
    write_recording(folder / "recordings" / "kueue.test", meta(), events=[event(0, "ADDED", "Pod", "p", 1)])
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": "run-7"}))
    (folder / "allure-results").mkdir()
    (folder / "allure-results" / "x.json").write_text("{}")
    (folder / "cluster" / "pki").mkdir(parents=True)
    (folder / "cluster" / "pki" / "ca.key").write_text("secret")
    return folder


def test_an_archive_opens_as_the_run_it_was(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.tar.xz"
    pack(run, out)
    opened = open_run(out)
    assert len(Recording.load(opened / "recordings" / "kueue.test").events) == 1
    assert sorted(entry.name for entry in opened.iterdir()) == ["recordings", "run.json"]  # no keys, no logs
    assert open_run(run) == run


def test_equal_runs_give_equal_archives(run: Path, tmp_path: Path) -> None:
    pack(run, tmp_path / "one.tar.xz")
    for path in run.rglob("*.jsonl"):
        os.utime(path, (1, 1))
    pack(run.rename(tmp_path / "other"), tmp_path / "two.tar.xz")
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()


def test_a_truncated_archive_is_refused(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.tar.xz"
    pack(run, out)
    out.write_bytes(out.read_bytes()[: out.stat().st_size // 2])
    with pytest.raises(RunError, match=r"truncated\?"):
        open_run(out)


def test_what_is_no_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory or archive"):
        open_run(tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(RunError, match=r"not a complete \.tar\.xz archive"):
        open_run(tmp_path / "text")
    (run / "run.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="run directory format 99; this version reads format 1"):
        open_run(run)
    with pytest.raises(RunError, match="run directory format 99"):
        pack(run, tmp_path / "run.tar.xz")
    (run / "run.json").write_text('{"form')
    with pytest.raises(RunError, match="cannot be read"):
        open_run(run)
    (run / "run.json").write_text("[]")
    with pytest.raises(RunError, match="no JSON object"):
        open_run(run)
    (run / "run.json").unlink()
    with pytest.raises(RunError, match=r"no run\.json"):
        open_run(run)


@pytest.mark.parametrize(
    ("name", "kind"), [("../escaped", tarfile.REGTYPE), ("/abs/escaped", tarfile.REGTYPE), ("run/l", tarfile.SYMTYPE)]
)
def test_an_archive_writes_nowhere_else(tmp_path: Path, name: str, kind: bytes) -> None:
    out = tmp_path / "bad.tar.xz"
    with tarfile.open(out, "w:xz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0
        archive.addfile(member, io.BytesIO())
    with pytest.raises(RunError):
        open_run(out)
    assert not (tmp_path / "escaped").exists()


def test_the_command_packs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    arguments = parser.parse_args(["pack", str(run), str(tmp_path / "out.tar.xz")])
    assert arguments.run(arguments) == 0
    assert "out.tar.xz: 0.00 MB" in capsys.readouterr().out
