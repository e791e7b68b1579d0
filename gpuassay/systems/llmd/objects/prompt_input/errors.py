"""What is wrong with a file of prompts, as one line, and what a reader of it should know although nothing is wrong."""

from __future__ import annotations

from collections import Counter


class BadPromptFile(ValueError):  # noqa: N818 - reads as what it is
    """A prompts file cannot be used; the message is one line that names the file and, where there is one, the line."""

    exit_code = 2


class BadEntry(ValueError):  # noqa: N818 - reads as what it is
    """Something in a file cannot be used; `where` is its place ("line 3", "entry 7"), "" for the whole file."""

    def __init__(self, where: str, wrong: str) -> None:
        """`wrong` says what it is and what to do; what it quotes of the file may be of any length and shape."""
        super().__init__(wrong)
        self.where = where

    def of(self, file: str) -> BadPromptFile:
        """The same, with the name of the file."""
        place = f", {self.where}" if self.where else ""
        # Quoted text may hold line breaks, and half characters that no terminal can show.
        said = " ".join(str(self).split()).encode(errors="backslashreplace").decode()
        return BadPromptFile(f"prompts file {file}{place}: {said}")


class Remarks:
    """What a file's reader did with it that its owner may not expect, counted by kind."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._counts: Counter[str] = Counter()

    def add(self, what: str) -> None:
        """Note one case of `what`."""
        self._counts[what] += 1

    def lines(self) -> list[str]:
        """`3 entries: what was done`, the first kind first."""
        return [f"{number} {'entry' if number == 1 else 'entries'}: {what}" for what, number in self._counts.items()]


def shown(value: object, most: int = 60) -> str:
    """A value of the file as a message may quote it: short, on one line."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
