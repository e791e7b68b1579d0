"""Files of prompts in the shapes that programs and data sets have: the right prompts, or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.systems.llmd.objects.prompt_files import BadPromptFile, read_prompts
from gpuassay.systems.llmd.objects.tokens import chat_text, count, readable
from tests.workloads.prompt_shapes import GOOD, Shape
from tests.workloads.prompt_shapes_refused import BAD


def written(folder: Path, shape: Shape) -> Path:
    path = folder / shape.name
    path.write_bytes(shape.body)
    return path


@pytest.mark.parametrize("shape", GOOD.values(), ids=list(GOOD))
def test_a_file_is_read_as_its_program_meant_it(tmp_path: Path, shape: Shape) -> None:
    """Red when a prompt, a turn or the length of an answer is lost, invented, or taken for another."""
    found = read_prompts(written(tmp_path, shape))
    seen = tuple((list(one.messages) or one.text, one.max_tokens) for one in found)
    assert seen == shape.wanted
    if shape.labels:
        assert tuple(one.label for one in found) == shape.labels
    for one in found:
        assert one.tokens == count(readable(one.text)) > 0
        assert bool(one.chat) == bool(one.messages)
        assert not one.messages or one.text == chat_text(one.messages)


@pytest.mark.parametrize("shape", BAD.values(), ids=list(BAD))
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, shape: Shape) -> None:
    """Red when a bad file passes, ends in a traceback, or its line does not say what is wrong."""
    path = written(tmp_path, shape)
    with pytest.raises(BadPromptFile) as caught:
        read_prompts(path)
    said = str(caught.value)
    assert shape.line in said
    assert said.startswith(f"prompts file {path}")
    assert len(said.splitlines()) == 1
    assert len(said) < len(str(path)) + 500
    said.encode()
