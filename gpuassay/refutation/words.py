"""Values and their differences in words, each short enough for a sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, cast

from gpuassay.refutation.shown import Shown

MOST = 160
"""Characters that a value takes in a sentence."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_FIRST_TEXT = re.compile(r"""[\[{(]+(?:'([^'\\]+)'|"([^"\\]+)")""")
_WORD = re.compile(r"[^\W\d_]{2,}")


def clipped(text: str, most: int = MOST) -> str:
    """`text` in one line, cut in its middle."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    tail = most // 4
    return f"{text[: most - tail - 1].rstrip()}…{text[-tail:].lstrip()}"


def text_of(value: Any) -> str:
    """A value written out, the same in every process: without addresses, and what has no order is sorted."""
    if isinstance(value, set | frozenset):
        items = sorted(map(text_of, cast("Set[Any]", value)))
        return f"{{{', '.join(items)}}}" if items else "set()"
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return f"{{{', '.join(f'{text_of(key)}: {text_of(item)}' for key, item in pairs)}}}"
    if type(value) in (list, tuple):
        items = list(map(text_of, cast("Sequence[Any]", value)))
        body = ", ".join(items) + ("," if isinstance(value, tuple) and len(items) == 1 else "")
        return f"[{body}]" if isinstance(value, list) else f"({body})"
    return _ADDRESS.sub("", repr(value))


def said(one: Shown) -> str:
    """A value as it stands in a sentence."""
    if not one.known:
        return clipped(_ADDRESS.sub("", one.text))
    if one.value is None:
        return "none"
    if isinstance(one.value, bool):
        return "yes" if one.value else "no"
    if isinstance(one.value, float):
        return f"{one.value:g}"
    value: object = one.value
    if isinstance(value, Collection) and not value:
        return "nothing"
    return clipped(text_of(value))


def is_sentence(text: str) -> bool:
    """Whether a text says something itself: words, not a value, a name or a figure alone."""
    first = text.strip()
    if not first or first[0] in "[{(<" or re.match(r"\w+\(\w+=", first):
        return False
    words = _WORD.findall(first)
    return len(words) >= 3 or "expected" in words or ("not" in words and len(words) > 1)


def none_expected(one: Shown) -> str:
    """What to say where nothing should have been found: findings speak for themselves, other things are named."""
    if not one.known:
        first = _first_text(one.text)
        return f"{first} (and more)" if is_sentence(first) else f"expected nothing, seen {said(one)}"
    value: object = one.value
    items: list[str] = []
    if isinstance(value, Mapping):
        items = [f"{_bare(key)}: {_bare(item)}" for key, item in cast("Mapping[Any, Any]", value).items()]
    elif isinstance(value, Set):
        items = sorted(map(_bare, cast("Set[Any]", value)))
    elif isinstance(value, Collection) and not isinstance(value, str | bytes):
        items = list(map(_bare, cast("Collection[Any]", value)))
    if not items:
        return f"expected nothing, seen {said(one)}"
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    if is_sentence(items[0]):
        return clipped(items[0], 2 * MOST) + more
    return f"expected none, seen {len(items)}: {clipped(', '.join(items))}"


def _bare(value: Any) -> str:
    """A text as it is, anything else written out."""
    return value if isinstance(value, str) else text_of(value)


def _first_text(shown: str) -> str:
    """The first text of a list that is shown cut short, "" where that is not whole."""
    found = _FIRST_TEXT.match(shown)
    return (found[1] or found[2]) if found and "..." not in found[0] else ""


def difference(seen: Shown, expected: Shown) -> str:
    """`expected a, seen b`; of large collections only where they differ."""
    if not (seen.known and expected.known):
        return f"expected {said(expected)}, seen {said(seen)}"
    told = f"expected {said(expected)}, seen {said(seen)}"
    if max(len(text_of(seen.value)), len(text_of(expected.value))) <= MOST // 2:
        return told
    left, right = seen.value, expected.value
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _of_mappings(cast("Mapping[Any, Any]", left), cast("Mapping[Any, Any]", right)) or told
    if isinstance(left, Set) and isinstance(right, Set):
        return _of_sets(cast("Set[Any]", left), cast("Set[Any]", right)) or told
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return _of_sequences(cast("Sequence[Any]", left), cast("Sequence[Any]", right)) or told
    return told


def _known(value: Any) -> Shown:
    return Shown(text_of(value), value, True)


def _of_mappings(seen: Mapping[Any, Any], expected: Mapping[Any, Any]) -> str:
    lacking = [key for key in expected if key not in seen]
    strange = [key for key in seen if key not in expected]
    other = [key for key in expected if key in seen and seen[key] != expected[key]]
    parts: list[str] = []
    if other:
        key = other[0]
        more = f" (and {len(other) - 1} more differ)" if len(other) > 1 else ""
        parts.append(f"for {key}: expected {said(_known(expected[key]))}, seen {said(_known(seen[key]))}{more}")
    return "; ".join([*parts, *_lacking_and_strange(lacking, strange)])


def _of_sets(seen: Set[Any], expected: Set[Any]) -> str:
    return "; ".join(_lacking_and_strange(sorted(expected - seen, key=text_of), sorted(seen - expected, key=text_of)))


def _lacking_and_strange(lacking: Sequence[Any], strange: Sequence[Any]) -> list[str]:
    parts: list[str] = []
    if lacking:
        parts.append(f"expected and not seen: {clipped(', '.join(map(_bare, lacking)))}")
    if strange:
        parts.append(f"seen and not expected: {clipped(', '.join(map(_bare, strange)))}")
    return parts


def _of_sequences(seen: Sequence[Any], expected: Sequence[Any]) -> str:
    for index, (left, right) in enumerate(zip(seen, expected, strict=False), start=1):
        if left != right:
            place = f"at place {index} of {len(expected)}"
            return f"{place}: expected {said(_known(right))}, seen {said(_known(left))}"
    if len(seen) == len(expected):
        return ""
    surplus = seen[len(expected) :] or expected[len(seen) :]
    which = "too many" if len(seen) > len(expected) else "missing"
    return f"expected {len(expected)}, seen {len(seen)}; {which}: {clipped(', '.join(map(_bare, surplus)))}"
