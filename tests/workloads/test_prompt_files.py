"""A user's file of prompts is read as it is, or refused with one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.llmd.objects.prompt_files import BadPromptFile, read_prompts


def written(folder: Path, name: str, body: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def test_csv(tmp_path: Path) -> None:
    """Red when quotes, commas, line breaks inside a field, a byte-order mark or optional columns are misread."""
    body = '\ufeffLabel,Prompt,max_tokens\r\na,"one, two\nthree",16\r\n,four,\r\n'
    first, second = read_prompts(written(tmp_path, "p.csv", body))
    assert (first.label, first.text, first.tokens, first.max_tokens) == ("a", "one, two\nthree", 4, 16)
    assert (second.label, second.text, second.max_tokens) == ("line4", "four", None)


def test_a_transcript_longer_than_a_csv_field_may_be(tmp_path: Path) -> None:
    """Red when Python's limit of 131,072 characters a field stops a transcript."""
    assert read_prompts(written(tmp_path, "p.csv", "prompt\n" + "word " * 60_000))[0].tokens == 60_000


def test_json_lines(tmp_path: Path) -> None:
    """Red when blank lines, chats or a separator that ends no line in JSON are misread."""
    body = (
        '{"prompt": "one\u2028two", "output_tokens_count": 5}\n\n'
        '{"messages": [{"role": "user", "content": "hi"}], "label": "chat"}'
    )
    first, second = read_prompts(written(tmp_path, "p.jsonl", body))
    assert (first.label, first.text, first.max_tokens) == ("line1", "one\u2028two", 5)
    assert (second.label, second.text, second.messages) == ("chat", "### user: hi\n", (("user", "hi"),))


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("p.yaml", "x: y", "neither JSON nor CSV by its content; known are .json"),
        ("p.jsonl", "", "p.jsonl: empty"),
        ("p.csv", " \n\n", "p.csv: empty"),
        ("p.csv", "prompt\n", "p.csv: empty; it needs at least one prompt"),
        ("p.csv", "why,when\nso,now\n", "line 1: no column prompt, text, transcript or messages; there are why, when"),
        ("p.csv", "prompt,label\nx,a\nhello, world,b\n", "line 3: 3 fields, the header has 2"),
        ("p.csv", 'prompt\nfine\n"never closed\nmore\n', "line 3: not CSV"),
        ("p.csv", "prompt,label\nx,a\ny,a\n", "line 3: label 'a' was given on line 2 already"),
        ("p.csv", "prompt,max_tokens\nx,many\n", "line 2: max_tokens must be a whole number"),
        ("p.jsonl", '{"prompt": "x"}\n{"prompt": \n', "line 2: not JSON"),
        ("p.jsonl", '{"prompt": "x"}\n["y"]\n', "line 2: a JSON object is wanted, not list"),
        ("p.jsonl", '{"why": "x"}\n', "line 1: no prompt, text, transcript or messages; there are why"),
        ("p.jsonl", '{"prompt": 5}\n', "line 1: prompt is not text"),
        ("p.jsonl", '{"prompt": " "}\n', "line 1: prompt is empty"),
        ("p.jsonl", '{"prompt": "x", "max_tokens": 0}\n', "line 1: max_tokens must be"),
        ("p.jsonl", '{"prompt": "x", "max_tokens": 1.5}\n', "line 1: max_tokens must be"),
        ("p.jsonl", '{"messages": []}\n', "line 1: messages must be a list with"),
        ("p.jsonl", '{"messages": [{"role": "user"}]}\n', "line 1: message 1 of messages needs role and content"),
        ("p.jsonl", b'{"prompt": "x"}\n{"prompt": "\xff"}\n', "line 2: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, body: str | bytes, told: str) -> None:
    """Red when a bad file passes, or its message does not say where and what."""
    path = written(tmp_path, name, body)
    with pytest.raises(BadPromptFile) as caught:
        read_prompts(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPromptFile, match=r"none.csv: cannot be read: No such file"):
        read_prompts(tmp_path / "none.csv")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["p.csv", "p.jsonl"]))
def test_any_bytes_give_prompts_or_one_line(tmp_path_factory: pytest.TempPathFactory, body: bytes, name: str) -> None:
    """Red when some input ends in a traceback."""
    try:
        assert read_prompts(written(tmp_path_factory.getbasetemp(), name, body))
    except BadPromptFile as error:
        assert len(str(error).splitlines()) == 1
