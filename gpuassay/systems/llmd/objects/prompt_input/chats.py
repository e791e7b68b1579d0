"""The turns of a chat: roles and contents in the shapes in which OpenAI, ShareGPT, Gemini and others write them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, Remarks, shown
from gpuassay.systems.llmd.objects.tokens import count, readable

ROLES = {
    "system": "system", "developer": "developer", "user": "user", "human": "user", "prompter": "user",
    "customer": "user", "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant",
    "bot": "assistant", "ai": "assistant", "bing": "assistant", "bard": "assistant", "claude": "assistant",
    "chatbot": "assistant", "function_call": "assistant", "tool": "tool", "observation": "tool",
    "tool_response": "tool", "function": "function",
}  # fmt: skip
"""Whose turn it is, by the names that data sets use."""

_ROLE = ("role", "from", "speaker", "author")
_CONTENT = ("content", "value", "text", "parts", "markdown")
_TEXT_PARTS = ("text", "input_text", "output_text", "thinking", "reasoning", "refusal")
_POSTED = ("name", "tool_calls", "tool_call_id", "function_call")
_PAIRS = (("user", "human", "question", "prompt"), ("assistant", "bot", "gpt", "answer", "response"))


@dataclass(frozen=True)
class Turn:
    """One message.

    Attributes:
        role: as chat APIs name it.
        text: its content; "" for one that only calls tools.
        more: further fields that are posted with it.
        alone: it is the first of several turns of a user without the answers between them.
    """

    role: str
    text: str
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    alone: bool = False

    @property
    def shown(self) -> str:
        """Content with the calls of tools, as a chat template writes them into the prompt."""
        calls = [self.more[name] for name in ("tool_calls", "function_call") if self.more.get(name)]
        return "\n".join(filter(None, [self.text, *(json.dumps(one, ensure_ascii=False) for one in calls)]))

    def posted(self) -> dict[str, Any]:
        """The message as it is sent."""
        content = None if not self.text and self.more else self.text
        return {"role": self.role, "content": content, **self.more}


def embedded(value: object) -> object:
    """A list that a CSV field holds as text, by JSON or as Python prints it; anything else as it is."""
    if not isinstance(value, str) or value.strip()[:2] not in ("[{", "[["):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found: object = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(is_message(one) for one in cast("list[object]", found)):
            return cast("object", found)
    return value


def is_message(value: object) -> bool:
    """Whether a value is one message of a chat: somebody says something."""
    if not isinstance(value, dict):
        return False
    keys = {str(name).lower() for name in cast("dict[Any, Any]", value)}
    return not keys.isdisjoint(_ROLE) and not keys.isdisjoint((*_CONTENT, "tool_calls", "function_call"))


def turns_of(name: str, given: object, remarks: Remarks) -> list[Turn]:
    """The turns of a chat. One with `alone` set stands for a list of questions whose answers are not told.

    Raises:
        BadEntry: it is no list of messages, or one of them cannot be asked.
    """
    items = embedded(given)
    listed = cast("list[object]", items) if isinstance(items, list) else []
    if not listed:
        if name == "messages":
            raise BadEntry("", f"{name} must be a list with at least one message")
        return []
    found: list[Turn] = []
    for number, one in enumerate(listed, start=1):
        found += _turns(name, number, one, first=not found)
    if name == "turns" and all(one.role == "user" for one in found):
        if len(found) > 1:
            remarks.add("only its first turn is asked: the others need answers that the file does not hold")
        return [Turn("user", found[0].text, alone=True)]
    if name != "messages":
        begun = next((place for place, one in enumerate(found) if one.role != "assistant"), len(found))
        if begun:
            remarks.add("the answers before a conversation's first question are not asked")
        found = found[begun:]
    if not any(one.shown.strip() for one in found):
        if name == "messages":
            raise BadEntry("", f"{name} hold no text")
        return []
    return found


def ended_by_its_owner(name: str, turns: list[Turn]) -> tuple[list[Turn], int]:
    """A chat without the assistant's turns at its end, which answer it, and their length in tokens of the simulator.

    Raises:
        BadEntry: nothing stands before them.
    """
    kept = list(turns)
    said: list[str] = []
    while kept and kept[-1].role == "assistant":
        said.append(kept.pop().shown)
    if not kept and name == "messages":
        raise BadEntry("", f"{name} hold answers only: a turn of a user is wanted")
    return kept, sum(count(readable(one)) for one in said)


def _turns(name: str, number: int, given: object, *, first: bool) -> list[Turn]:
    if isinstance(given, str):
        # plain texts take turns (DailyDialog); as `turns` all are the user's (MT-Bench)
        return [Turn("user" if name == "turns" or number % 2 else "assistant", given)]
    if isinstance(given, list):
        pair = cast("list[object]", given)
        if len(pair) == 2 and all(isinstance(one, str) for one in pair):
            said, text = map(str, pair)
            role = ROLES.get(said.lower())
            return [Turn(role, text)] if role else [Turn("user", said), Turn("assistant", text)]
    place = f"message {number} of {name}"
    if not isinstance(given, dict):
        raise BadEntry("", f"{place} needs role and content as text, it is {shown(cast('object', given))}")
    message = {str(key).lower(): value for key, value in cast("dict[Any, Any]", given).items()}
    said = next((message[key] for key in _ROLE if isinstance(message.get(key), str)), None)
    if said is None:
        asked, answered = (next((message[key] for key in keys if isinstance(message.get(key), str)), None)
                           for keys in _PAIRS)  # fmt: skip
        if asked is not None:
            return [Turn("user", asked), *([Turn("assistant", answered)] if answered is not None else [])]
        if name == "turns" and isinstance(message.get("text"), str):
            return [Turn("user", message["text"])]
        raise BadEntry("", f"{place} needs role and content as text")
    role = ROLES.get(said.strip().lower())
    if role is None:
        raise BadEntry("", f"{place} has the role {shown(said)}; known are {', '.join(dict.fromkeys(ROLES.values()))}")
    more = {key: message[key] for key in _POSTED if message.get(key)}
    key = next((one for one in _CONTENT if message.get(one) is not None), None)
    if key is None:
        if not ("tool_calls" in more or "function_call" in more):
            raise BadEntry("", f"{place} needs role and content as text")
        return [Turn(role, "", more)]
    return [Turn(role, _content(place, message[key]), more)]


def _content(place: str, given: object) -> str:
    if isinstance(given, str):
        return given
    texts: list[str] = []
    for one in cast("list[object]", given) if isinstance(given, list) else [given]:
        part = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        kind = str(part.get("type", "text"))
        text = one if isinstance(one, str) else part.get("text", part.get(kind))
        if kind not in _TEXT_PARTS and part:
            raise BadEntry("", f"{place} holds {shown(kind)}: only text is sent; remove the entry, or that part of it")
        if not isinstance(text, str):
            raise BadEntry("", f"{place} needs role and content as text")
        texts.append(text)
    # as vLLM joins the parts for templates that take plain text
    return "\n".join(texts)
