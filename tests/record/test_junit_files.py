"""What JUnit files of many frameworks say is read, or refused in one line; never a pass where one failed."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from gpuassay.record import junit
from gpuassay.record.junit.numbers import count, seconds
from gpuassay.record.upstream import Outcome
from tests.record.junit_files import READ
from tests.record.junit_refused import REFUSED


@pytest.mark.parametrize("kind", READ)
def test_a_file_says_what_its_framework_meant(tmp_path: Path, kind: str) -> None:
    """Red when a result is lost, turned, or a sound file is refused."""
    text, wanted = READ[kind]
    file = tmp_path / "junit.xml"
    file.write_text(text)
    found = junit.read(file)
    assert {one.name: one.outcome for one in found} == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_junit_xml_is_one_line_that_says_what_it_is(tmp_path: Path, kind: str) -> None:
    """Red when an empty, cut or foreign file is taken for results, or its line does not say which file and why."""
    text, said = REFUSED[kind]
    file = tmp_path / "junit.xml"
    file.write_text(text)
    with pytest.raises(junit.JUnitError) as refused:
        junit.read(file)
    message = str(refused.value)
    assert said in message and str(file) in message and "\n" not in message


NAME = "пройдено 通过 é"
CASE = f'<testsuite><testcase name="{NAME}"><failure/></testcase></testsuite>'
LATIN = '<?xml version="1.0" encoding="{}"?><testsuite><testcase name="é"><failure/></testcase></testsuite>'


def _declared(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{CASE}'


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (CASE.encode(), NAME),
        (codecs.BOM_UTF8 + _declared("utf-8").encode(), NAME),
        (_declared("UTF-8").encode("utf-16"), NAME),  # PowerShell's `>`
        (_declared("UTF-16").encode("utf-16-le"), NAME),
        (_declared("UTF-16").encode("utf-16-be"), NAME),
        (_declared("UTF-32").encode("utf-32"), NAME),
        (_declared("utf-16").encode(), NAME),  # .NET's StringWriter, written as UTF-8
        (_declared("GB18030").encode("gb18030"), NAME),
        (_declared("GBK").encode("gbk"), NAME),
        (_declared("utf8mb4").encode(), NAME),
        (_declared("hex").encode(), NAME),
        (_declared("").encode(), NAME),
        (LATIN.format("ISO-8859-1").encode("latin-1"), "é"),
        (LATIN.format("windows-1252").encode("cp1252"), "é"),
        (LATIN.format("UTF-8").encode("latin-1"), "\ufffd"),
        (LATIN.format("Shift_JIS").replace("é", "通").encode("shift_jis"), "通"),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else None,
)
def test_a_file_is_read_in_whatever_encoding_it_is(tmp_path: Path, data: bytes, name: str) -> None:
    """Red when an encoding, or a declaration that is wrong about it, costs the file or a name."""
    file = tmp_path / "junit.xml"
    file.write_bytes(data)
    [case] = junit.read(file)
    assert (case.name, case.outcome) == (name, Outcome.FAILED)


def test_an_encoding_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    """Red when the line does not name file and encoding."""
    file = tmp_path / "junit.xml"
    file.write_bytes(LATIN.format("klingon").encode("latin-1"))
    with pytest.raises(junit.JUnitError, match=r"junit\.xml declares the encoding 'klingon', which is not known"):
        junit.read(file)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1.25", 1.25),
        ("0.", 0.0),
        (".5", 0.5),
        ("1e-05", 1e-5),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1,234,567.8", 1234567.8),
        ("12,5", 12.5),
        ("0,123", 0.123),
        ("1,234", None),
        ("0.5s", 0.5),
        ("150 ms", 0.15),
        *((text, None) for text in ("", "NaN", "inf", "-1.0", "1e999", "abc", "1_000", "00:00:01", "1.2.3", "\u0661")),
    ],
)
def test_a_time_is_a_number_of_seconds_or_not_told(text: str, wanted: float | None) -> None:
    """Red when what is no time comes into a report, or a comma multiplies one by a thousand."""
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("3", 3), ("1,024", 1024), ("3.0", 3), ("", None), ("-1", None), ("NaN", None), ("9" * 40, None)],
)
def test_a_count_is_a_whole_number_or_not_told(text: str, wanted: int | None) -> None:
    """Red when a count that is none is compared with cases."""
    assert count(text) == wanted


def test_the_words_of_each_result_are_kept(tmp_path: Path) -> None:
    """Red when of two results of one case one loses its words, or a flaky pass does not say that it was one."""
    file = tmp_path / "junit.xml"
    file.write_text(
        '<testsuite><testcase name="a"><error message="then"/><failure type="T">first</failure></testcase>'
        '<testcase name="b"><flakyFailure message="slow"/></testcase><testcase name="c" status="broken"/>'
        '<testcase name="d"><failure type="java.lang.AssertionError"/></testcase></testsuite>'
    )
    assert [one.message for one in junit.read(file)] == [
        "first\nthen",
        "passed after 1 try that failed: slow",
        "its status is 'broken'",
        "java.lang.AssertionError",
    ]
