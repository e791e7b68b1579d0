"""The tokens that the model-server simulator makes of a text: its dummy tokenizer as a pure function.

Source: llm-d-inference-sim v0.10.2, `pkg/tokenizer` (run with `--force-dummy-tokenizer`). A token is one punctuation
mark or one run of ASCII letters, digits and underscores, together with the ASCII white space behind it; every other
character is skipped. Its id is the 32-bit FNV-1a hash of those bytes, so the same word before a blank and before a line
break is two tokens. `word ` is one token, which is how prompts of an exact length are made.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

Message = tuple[str, str]
"""Role and content of a chat message."""

# Punctuation stands before words, so that an underscore that begins a word is a token of its own, as upstream has it.
_TOKEN = re.compile(r"""(?:[{}:,\-.?!;@#$%^&*()+_~/\\><\[\]="']|[0-9A-Za-z_]+)[\t\n\f\r ]*""")

_OFFSET_BASIS, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
"""Constants of FNV-1a for 32 bits (draft-eastlake-fnv)."""


_SKIPPED = re.compile(r"[^\x00-\x7f]|[`|]")
"""Characters that are more than white space to a reader, and nothing to the simulator."""

_WITHOUT_BLANKS = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Tibetan, Myanmar, Khmer: scripts that write words without a blank between them (Unicode 16.0, UAX #14)."""


@lru_cache(maxsize=1 << 18)
def token_id(token: str) -> int:
    """FNV-1a hash, 32 bits, of a token's UTF-8 bytes."""
    found = _OFFSET_BASIS
    for byte in token.encode():
        found = ((found ^ byte) * _PRIME) & _MASK
    return found


def pieces(text: str) -> list[str]:
    """The tokens of a text as text, each with the white space behind it."""
    return _TOKEN.findall(text)


def token_ids(text: str) -> list[int]:
    """The token ids of a text, as the simulator's `/v1/completions/render` answers them."""
    return [token_id(piece) for piece in _TOKEN.findall(text)]


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(_TOKEN.findall(text))


def chat_text(messages: Iterable[Message]) -> str:
    r"""The text that the simulator makes of a chat before it cuts it into tokens: `### role: content\n` per message."""
    return "".join(f"### {role}: {content}\n" for role, content in messages)


def chat_token_ids(messages: Iterable[Message]) -> list[int]:
    """The token ids of a chat, as the simulator's `/v1/chat/completions/render` answers them."""
    return token_ids(chat_text(messages))


def readable(text: str) -> str:
    """The text with what the simulator would skip written as words of it, so that it has tokens there as elsewhere.

    An approximation of ours, for the simulator's tokenizer knows ASCII only: one token for a character of a script
    without blanks (Chinese, Japanese, Thai, ...), for a sign and for an emoji; letters of other scripts stay part of
    their word. Equal beginnings stay equal. ASCII text stays as it is, but for the signs ` and |.
    """
    if text.isascii() and "`" not in text and "|" not in text:
        return text
    return _SKIPPED.sub(lambda found: _spelled(found.group()), text)


@lru_cache(maxsize=1 << 16)
def _spelled(character: str) -> str:
    if character.isspace():
        return " "
    code, kind = ord(character), unicodedata.category(character)
    alone = (
        kind[0] not in "LMN"
        or unicodedata.east_asian_width(character) in "WF"
        or any(first <= code <= last for first, last in _WITHOUT_BLANKS)
    )
    return f" x{code:04x} " if alone else f"x{code:04x}"
