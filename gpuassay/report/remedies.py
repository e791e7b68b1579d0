"""What was not tested, by what would lift it: a command, where one is known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict

_BUILD = re.compile(r"gpuassay build (?P<names>[\w.@-]+(?: [\w.@-]+)*)")
_GIVEN = re.compile(r"--asset (?P<asset>[\w-]+=\S+?)(?=[\s),;]|$)")
_OPTION = re.compile(r"(?P<option>--(?!asset)[a-z][a-z-]+)")
_FOREIGN = re.compile(r"--cluster existing[^),;]*")
_LACKS = re.compile(r"the cluster lacks: (?P<names>[^(;]+)")

OF_A_REPLAY = "not part of the replayed run"


@dataclass
class Remedy:
    """Behaviours that one thing would bring to judgement.

    Attributes:
        what: that thing, in words.
        command: how it is had; "" where no command is known.
        verdicts: the behaviours.
    """

    what: str
    command: str
    verdicts: list[Verdict] = field(default_factory=list[Verdict])


def remedy(reason: str) -> tuple[str, str]:
    """What would lift a SKIP with this reason, and the command; the command is "" where none is known."""
    if found := _BUILD.search(reason):
        return "programs to be built", f"python -m gpuassay build {found['names']}"
    if found := _GIVEN.search(reason):
        name = found["asset"].partition("=")[0]
        return f"programs of {name}, which you supply", f"python -m pytest suites -k {name} --asset {found['asset']}"
    if reason.startswith(OF_A_REPLAY):
        return "a run of their own: the recording that is judged does not hold them", "python -m pytest suites"
    if found := _FOREIGN.search(reason):
        return f"a cluster that has {_lacking(reason)}", f"python -m pytest suites {found[0].strip()}"
    if reason.startswith("from outside: "):
        return "gateways and nodes of our own: they cannot be judged from outside", "python -m pytest suites"
    if found := _OPTION.search(reason):
        return f"an option: {one_line(reason, 120)}", f"python -m pytest suites {found['option']}"
    return f"what is lacking here: {one_line(reason, 120) or 'no reason was given'}", ""


def remedies(verdicts: Iterable[Verdict]) -> list[Remedy]:
    """All skipped behaviours by remedy, that of most behaviours first; what has to be built is one command."""
    found: dict[tuple[str, str], Remedy] = {}
    builds: dict[str, None] = {}
    for verdict in verdicts:
        if verdict.state != State.SKIP:
            continue
        what, command = remedy(verdict.reason)
        if built := _BUILD.search(command):
            builds |= dict.fromkeys(built["names"].split())
            command = "build"
        found.setdefault((what, command), Remedy(what, command)).verdicts.append(verdict)
    for one in found.values():
        if one.command == "build":
            one.command = f"python -m gpuassay build {' '.join(builds)}"
    return sorted(found.values(), key=lambda one: (-len(one.verdicts), one.what))


def _lacking(reason: str) -> str:
    found = _LACKS.search(reason)
    return found["names"].strip() if found else "what is lacking here"
