"""Files, pipes, folders and archives: read once, without a byte on the disk."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpuassay.record import junit
from gpuassay.record.junit import sources
from gpuassay.record.upstream import Outcome

GOOD = b'<testsuite><testcase name="good"/></testsuite>'
BAD = b'<testsuite><testcase name="bad"><failure/></testcase></testsuite>'
PASSED, FAILED = {"good": Outcome.PASSED}, {"bad": Outcome.FAILED}


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _id(value: object) -> str | None:
    """Bytes make no readable names of tests."""
    return "data" if isinstance(value, bytes | dict) else None


SONOBUOY = {
    "meta/run.log": b"log",
    "plugins/e2e/results/global/e2e.log": b"log",
    "plugins/e2e/results/global/junit_01.xml": BAD,
    "plugins/e2e/sonobuoy_results.yaml": b"name: e2e",
    "resources/cluster/Nodes.json": b"{}",
}
TWO = {"a/TEST-a.xml": GOOD, "a/TEST-b.xml": BAD, "a/testng-results.xml": b"<testng-results/>", "a/._TEST-a.xml": b"\0"}


def _outcomes(file: Path) -> dict[str, Outcome]:
    return {one.name: one.outcome for one in junit.read(file)}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (_gz(BAD), FAILED),
        (_gz(GOOD[:9]) + _gz(GOOD[9:]), PASSED),
        (bz2.compress(BAD), FAILED),
        (lzma.compress(BAD), FAILED),
        (_gz(_tar(SONOBUOY)), FAILED),
        (_tar(SONOBUOY), FAILED),
        (_zip(SONOBUOY), FAILED),
        (lzma.compress(_tar(TWO)), PASSED | FAILED),
        (_tar({"only-one": BAD}), FAILED),
        (_zip({"junit.xml.gz": _gz(BAD), "other.log.gz": b"no"}), FAILED),
        (_zip({"results.tar.gz": _gz(_tar(SONOBUOY))}), FAILED),
        (_gz(_gz(BAD)), FAILED),
        (
            _tar(SONOBUOY | {"plugins/soak/errors/global/error.json": b'{"error": "timed out"}'}),
            FAILED | {"plugin soak": Outcome.ERROR},
        ),
        (_tar({"plugins/e2e/errors/global/error.json": b"no answer"}), {"plugin e2e": Outcome.ERROR}),
        (
            _zip({"one.xml": GOOD, "two.xml": GOOD}),
            {"one.xml: good": Outcome.PASSED, "two.xml: good": Outcome.PASSED},
        ),
    ],
    ids=_id,
)
def test_what_is_packed_is_opened(tmp_path: Path, data: bytes, wanted: dict[str, Outcome]) -> None:
    """Red when a file of an archive is lost, or an archive as other programs make them is refused."""
    file = tmp_path / "results.bin"  # the name is no sign of what it is
    file.write_bytes(data)
    assert _outcomes(file) == wanted


ENCRYPTED = bytearray(_zip({"junit.xml": GOOD}))
ENCRYPTED[6] |= 1
ENCRYPTED[ENCRYPTED.rindex(b"PK\x01\x02") + 8] |= 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_gz(BAD)[:-9], "is a gzip file that is damaged or was cut off"),
        (_gz(_tar(SONOBUOY))[:-20], "is a gzip file that is damaged or was cut off"),
        (_tar({"a.xml": BAD * 100})[:1024], "is a tar file that is damaged or was cut off"),
        (_zip(SONOBUOY)[:-30], "is a zip file that is damaged or was cut off"),
        (lzma.compress(BAD)[:-9], "is a xz file that is damaged or was cut off"),
        (bytes(ENCRYPTED), "is a zip file that cannot be unpacked here"),
        (b"\x28\xb5\x2f\xfdxxxx", "is packed by zstd, which is not read here: unpack it first"),
        (_tar({"log": b"", "e2e.log": b""}), "has no .xml file in it"),
        (
            _tar({"a/coverage.xml": b"<coverage/>"}),
            "has no JUnit XML in it: a/coverage.xml is no JUnit XML but a report",
        ),
        (_tar({"good.xml": GOOD, "a/cut.xml": BAD[:30]}), "a/cut.xml in "),
        (_tar({"good.xml": GOOD, "empty.xml": b""}), "empty.xml in "),
        (_gz(_gz(_gz(_gz(_gz(BAD))))), "packed more than 4 times"),
    ],
    ids=_id,
)
def test_what_cannot_be_unpacked_is_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    """Red when a damaged archive is a traceback, or read up to where it is damaged."""
    file = tmp_path / "results.bin"
    file.write_bytes(data)
    with pytest.raises(junit.JUnitError) as refused:
        junit.read(file)
    message = str(refused.value)
    assert said in message and str(file) in message and "\n" not in message


def test_no_link_of_an_archive_is_followed(tmp_path: Path) -> None:
    """Red when an archive can have a file of this machine read."""
    secret = tmp_path / "other.xml"
    secret.write_bytes(BAD)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("link.xml")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
        good = tarfile.TarInfo("good.xml")
        good.size = len(GOOD)
        archive.addfile(good, io.BytesIO(GOOD))
    file = tmp_path / "a.tar"
    file.write_bytes(out.getvalue())
    assert _outcomes(file) == PASSED


def test_what_unpacks_to_more_than_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a small file can fill the memory."""
    monkeypatch.setattr(sources, "LARGEST", 1000)
    for number, data in enumerate((b" " * 1001, _gz(b" " * 5000), _zip({"a.xml": b" " * 600, "b.xml": b" " * 600}))):
        file = tmp_path / f"{number}.xml"
        file.write_bytes(data)
        with pytest.raises(junit.JUnitError, match="holds more than"):
            junit.read(file)


def test_a_folder_has_its_files_read(tmp_path: Path) -> None:
    """Red when a file below a folder is lost, or one of another kind makes the folder unreadable."""
    for name, data in (TWO | {"a/deep/TEST-c.xml.gz": _gz(GOOD.replace(b"good", b"deep"))}).items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    found = junit.read_source(tmp_path)
    assert {one.name: one.outcome for one in found.cases} == PASSED | FAILED | {"deep": Outcome.PASSED}
    assert (found.name, found.left) == (tmp_path.name, ("a/testng-results.xml",))
    (tmp_path / "a" / "TEST-a.xml").write_bytes(GOOD + b"\n")
    assert junit.read_source(tmp_path).digest != found.digest


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    """Red when it is a traceback, or nothing at all."""
    with pytest.raises(junit.JUnitError, match=r"has no \.xml file in it: name the file"):
        junit.read(tmp_path)


@pytest.mark.parametrize("data", [BAD, _gz(BAD)], ids=("plain", "gzip"))
def test_a_pipe_is_read_once(tmp_path: Path, data: bytes) -> None:
    """Red when the digest is of another reading than the cases: of a pipe, of nothing."""
    pipe = tmp_path / "63"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    found = junit.read_source(pipe)
    writer.join(10)
    assert (found.name, found.digest) == (f"the pipe {pipe}", hashlib.sha256(data).hexdigest())
    assert {one.name: one.outcome for one in found.cases} == FAILED


def test_a_file_that_changes_while_it_is_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when half of a report that is being written counts."""
    file = tmp_path / "junit.xml"
    file.write_bytes(GOOD)
    told = os.fstat

    def meanwhile(number: int) -> os.stat_result:
        before = told(number)
        file.write_bytes(GOOD + BAD)
        return before

    monkeypatch.setattr(os, "fstat", meanwhile)
    with pytest.raises(junit.JUnitError, match="changed while it was read: wait until what writes it has ended"):
        junit.read(file)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.xml", "absent.xml cannot be read: No such file or directory"),
        ("https://ci.test/junit.xml", "is an address: download the file and name that"),
    ],
)
def test_what_is_not_there_is_one_line(name: str, said: str) -> None:
    """Red when a wrong path is a traceback."""
    with pytest.raises(junit.JUnitError, match=said):
        junit.read(Path(name))


def test_thousands_of_cases_are_read_within_seconds(tmp_path: Path) -> None:
    """Red when the time grows with the square of the cases: Kubernetes' own suite has seven thousand."""
    cases = "".join(
        f'<testcase name="{n % 5000}" classname="c"><system-out>{"x" * 1000}</system-out></testcase>'
        for n in range(20000)
    )
    file = tmp_path / "junit.xml"
    file.write_text(f'<testsuite tests="20000">{cases}</testsuite>')
    found = junit.read(file)
    assert len({one.name for one in found}) == 20000
