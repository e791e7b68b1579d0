"""A language model that nobody had to train or download: the folder that an inference engine loads.

Two layers with a hidden size of 64, and a tokenizer that makes one token of each byte. The engine makes up the
weights itself (`--load-format dummy`): what it says means nothing, what it computes and caches is real.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

END = 256
"""Token id of the end of a text; 0 to 255 are bytes."""
VOCABULARY = 320
"""Tokens of the model: bytes, the end, and some that are never used, for engines that want multiples of 64."""
LONGEST = 16384
"""Tokens of prompt and answer together."""


def token_ids(text: str) -> list[int]:
    """The tokens of a text: its UTF-8 bytes. What `tokenizer` says, as a function."""
    return list(text.encode())


def byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level vocabularies.

    Source: the GPT-2 encoder, which the `ByteLevel` parts of Hugging Face tokenizers follow: printable characters of
    Latin-1 stand for themselves, all others for those from U+0100 on, in order.
    """
    own = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = (byte for byte in range(256) if byte not in own)
    moved = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


def configuration() -> dict[str, Any]:
    """`config.json`: the smallest Qwen3 that engines take."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "hidden_act": "silu",
        "max_position_embeddings": LONGEST,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "bos_token_id": END,
        "eos_token_id": END,
    }


def tokenizer() -> dict[str, Any]:
    """`tokenizer.json`: byte-level BPE without a single merge."""
    whole = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    end = {"id": END, "content": "<end>", "special": True}
    end |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    letters = {letter: byte for byte, letter in enumerate(byte_letters())}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [end],
        "normalizer": None,
        "pre_tokenizer": whole,
        "post_processor": None,
        "decoder": whole,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "vocab": letters, "merges": []},
    }


def write(folder: Path) -> Path:
    """Write the model's files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "config.json": configuration(),
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "model_max_length": LONGEST,
        },
        "generation_config.json": {"eos_token_id": END},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1))
    return folder
