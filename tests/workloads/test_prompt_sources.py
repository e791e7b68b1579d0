"""Where prompts come from beside plain files: folders, pipes, Parquet, and files that are too large to hold."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gpuassay.systems.llmd.objects import prompt_files
from gpuassay.systems.llmd.objects.prompt_files import BadPromptFile, give, given, read_prompts
from gpuassay.systems.llmd.objects.prompt_input import json_values, text

LINE = '{"prompt": "hi"}\n'


def made(folder: Path, **files: str | bytes) -> Path:
    for name, body in files.items():
        path = folder / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
    return folder


def said_of(path: Path) -> str:
    with pytest.raises(BadPromptFile) as caught:
        read_prompts(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_transcripts_is_one_prompt_a_file(tmp_path: Path) -> None:
    """Red when the lines of a transcript become prompts, or files are not read in the order of their names."""
    found = read_prompts(made(tmp_path, call2__txt="hello\nthere\n", call1__txt="good\nday\n", _DS_Store="x"))
    assert [(one.label, one.text) for one in found] == [("call1", "good\nday\n"), ("call2", "hello\nthere\n")]


def test_a_data_set_of_several_files_names_them_in_its_labels(tmp_path: Path) -> None:
    """Red when equal line numbers of two files are one label, or a file about the data set is a part of it."""
    folder = made(tmp_path, data_in_b__jsonl=LINE, data_in_a__jsonl__gz=gzip.compress(LINE.encode()), README__md="x",
                  dataset_info__json="{}", _git_in_x__json="{")  # fmt: skip
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "y.json").write_text("{")
    (tmp_path / "_git" / "x.json").unlink()
    assert [one.label for one in read_prompts(folder)] == ["data/a.jsonl.gz:line1", "data/b.jsonl:line1"]


def test_a_folder_with_one_file_needs_no_name_in_its_labels(tmp_path: Path) -> None:
    assert [one.label for one in read_prompts(made(tmp_path, a__jsonl=LINE))] == ["line1"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "a folder without a .json"),
        ({"a__jsonl": LINE, "b__txt": "x"}, "a folder with files of several kinds (json, text); name one of them"),
        ({"a__jsonl": LINE, "b__jsonl": "{"}, "b.jsonl, line 1: not JSON"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, files: dict[str, str], told: str) -> None:
    assert told in said_of(made(tmp_path, **files))


def test_a_file_that_may_not_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    assert "cannot be read" in said_of(tmp_path / "loop.jsonl")


def test_a_pipe_is_read_once_and_whole(tmp_path: Path) -> None:
    """Red when `--prompts <(zcat x.gz)` loses what was looked at to find out what it is."""
    pipe = tmp_path / "63"
    os.mkfifo(pipe)
    body = (LINE * 3).encode()
    for whole in (body, gzip.compress(body)):
        writer = threading.Thread(target=pipe.write_bytes, args=(whole,))
        writer.start()
        assert len(read_prompts(pipe)) == 3
        writer.join()


# --- large files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE", 7)
    monkeypatch.setattr(json_values, "PIECE", 7)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv", "p.txt"])
@pytest.mark.usefixtures("small_pieces")
def test_a_file_that_is_read_in_pieces_is_the_same(tmp_path: Path, name: str, indent: int | None) -> None:
    """Red when a value, a line end or a character is cut where one piece ends and the next begins."""
    texts = [f"{number} é 你 😀\u2028{'x' * number}." for number in range(40)]
    if name == "p.csv":
        body = "prompt,max_tokens\r\n" + "".join(f'"{one}\r\nmore",5\r\n' for one in texts)
        texts = [f"{one}\r\nmore" for one in texts]
    elif name == "p.txt":
        body = "\r\n".join(texts)
    else:
        rows = [{"prompt": one} for one in texts]
        body = json.dumps(rows, indent=indent) if name == "p.json" else "\n".join(map(json.dumps, rows))
    path = tmp_path / name
    path.write_text(body, newline="")
    assert [one.text for one in read_prompts(path)] == texts


def test_no_more_of_a_large_file_is_read_than_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a data set of gigabytes is read to its end, or is cut without a word."""
    monkeypatch.setattr(prompt_files, "MOST", 3)
    monkeypatch.setattr(text, "PIECE", 64)
    path = tmp_path / "p.json"
    path.write_text("[" + ('{"prompt": "hi"},' * 50) + "this is never read")
    try:
        give(path)
        found = given()
        assert found is not None
        assert len(found.prompts) == 3
        assert found.lines()[-1].endswith("it has more than 3: the first 3 are taken")
    finally:
        give(None)


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE", 64)
    monkeypatch.setattr(text, "LONGEST", 256)
    for name, body in (("a.jsonl", '{"prompt": "'), ("b.txt", "x"), ("c.csv", 'prompt\n"')):
        path = tmp_path / name
        path.write_text(body + "x" * 4096)
        assert "in one piece: no prompt is that long" in said_of(path)


# --- Parquet and Arrow -----------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {"prompt": "hi", "max_tokens": 5.0, "messages": None},
    {"prompt": None, "max_tokens": None, "messages": [{"role": "user", "content": "ho"}]},
]


def columnar(folder: Path, kind: str) -> Path:
    pytest.importorskip("pyarrow", reason="Parquet is read where pyarrow is installed: pip install pyarrow")
    arrow: Any = importlib.import_module("pyarrow")
    table = arrow.Table.from_pylist(ROWS)
    path = folder / f"train-00000.{kind}"
    if kind == "parquet":
        importlib.import_module("pyarrow.parquet").write_table(table, path)
    else:
        ipc: Any = importlib.import_module("pyarrow.ipc")
        make = ipc.new_file if kind == "feather" else ipc.new_stream
        with make(str(path), table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
def test_rows_of_columnar_files_are_entries(tmp_path: Path, kind: str) -> None:
    """Red when a column's gaps, its floats or its nested messages are misread; `arrow` is as `save_to_disk` writes."""
    for path in (columnar(tmp_path, kind), tmp_path):
        first, second = read_prompts(path)
        assert (first.label, first.text, first.max_tokens) == ("row1", "hi", 5)
        assert (second.label, second.messages, second.max_tokens) == ("row2", (("user", "ho"),), None)


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    path = columnar(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-40])
    assert "cannot be read by pyarrow" in said_of(path)


def test_without_pyarrow_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.parquet"
    path.write_bytes(b"PAR1" + bytes(40))
    for name in [one for one in sys.modules if one.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "Parquet is read by pyarrow, which cannot be imported" in said_of(path)
    assert "pip install pyarrow" in said_of(path)
