"""The directory of a DAS that the user brings: complete, of the known version, or one line says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.toolchain import Assets, ToolchainError, das


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that looks like one of DAS."""
    for name in das.PROGRAMS:
        (tmp_path / name).write_bytes(b"\x7fELF.." + das.MODULE + b"..")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "crds").mkdir()
    for name in das.CRDS:
        (tmp_path / "crds" / f"{name}.yaml").write_text(f"metadata:\n  name: {name}\n")
    (tmp_path / "VERSION").write_text(f"{das.VERSION}2a5d40b0\n")
    return tmp_path


def _find(directory: Path) -> das.Das | None:
    return das.find(Assets.parse([f"das={directory}"], environ={}))


def test_a_complete_directory_is_taken(directory: Path) -> None:
    """Red when files or provenance of a complete directory get lost."""
    found = _find(directory)
    assert found is not None
    assert set(found.files) == set(found.sha256) == set(das.PROGRAMS)
    assert len(found.crds) == 3
    assert found.source == "supplied by the user (--asset das), DAS 9f4fc07f"


def test_without_a_directory_there_is_none() -> None:
    """Red when DAS is looked for anywhere but where the user says."""
    assert das.find(Assets(environ={})) is None


def test_the_variable_names_it_too(directory: Path) -> None:
    """Red when GPUASSAY_ASSET_DAS is not heeded, or not told in reports."""
    found = das.find(Assets(environ={"GPUASSAY_ASSET_DAS": str(directory)}))
    assert found is not None
    assert "GPUASSAY_ASSET_DAS" in found.source


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("das-webhook", None, "das-webhook missing; it is supplied by you"),
        ("das-daemonset", "something else", "das-daemonset is not a program of DAS"),
        ("das-daemonset", "", "das-daemonset is not a program of DAS"),
        (f"crds/{das.CRDS[0]}.yaml", None, f"crds/ has no CRD {das.CRDS[0]}"),
        ("VERSION", None, "it does not say its commit in a file VERSION"),
        ("VERSION", "d0516fe1", "it is of commit 'd0516fe1'; this suite knows DAS at commit"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(directory: Path, file: str, content: str | None, words: str) -> None:
    """Red when an incomplete or foreign directory is taken, or the message does not name what is wrong."""
    (directory / file).unlink()
    if content is not None:
        (directory / file).write_text(content)
    with pytest.raises(ToolchainError, match=f"--asset das={directory}") as error:
        _find(directory)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_programs_that_are_no_executables_are_named(directory: Path) -> None:
    """Red when a program that lost its bit on the way is found out as a traceback when it is started."""
    (directory / "das-scheduler").chmod(0o644)
    with pytest.raises(ToolchainError, match=r"das-scheduler cannot be executed: chmod \+x$"):
        _find(directory)
