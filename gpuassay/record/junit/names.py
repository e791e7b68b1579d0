"""Names for cases, no two alike: as the suite has them, longer only where that tells two apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Called:
    """How a case is called, and what it belongs to: `within` from the closest to the widest."""

    name: str
    within: tuple[str, ...] = ()


def distinct(cases: Sequence[Called]) -> list[str]:
    """A name for each case. What is alike in all it says of itself is numbered, in the order of the file."""
    names = [_line(one.name) for one in cases]
    for level in range(max((len(one.within) for one in cases), default=0)):
        alike: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(names):
            alike[name].append(index)
        for indices in alike.values():
            owners = {index: _line("".join(cases[index].within[level : level + 1])) for index in indices}
            if len(set(owners.values())) > 1:
                for index, owner in owners.items():
                    names[index] = _joined(owner, names[index], level)
    taken = set(names)
    seen: dict[str, int] = defaultdict(int)
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] == 1:
            continue
        while (numbered := f"{name} #{seen[name]}") in taken:
            seen[name] += 1
        taken.add(numbered)
        names[index] = numbered
    return names


def _joined(owner: str, name: str, level: int) -> str:
    if not owner:
        return name
    return f"{owner}.{name}" if level == 0 else f"{owner}: {name}"


def _line(text: str) -> str:
    return " ".join(text.split())
