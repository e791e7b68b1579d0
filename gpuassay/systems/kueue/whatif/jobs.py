"""A list of jobs from a CSV file: when each comes, what it asks for, how long it runs."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuassay.systems.kueue.whatif.errors import WhatIfError

NEEDED = ("arrival", "gpus", "seconds", "queue")
OPTIONAL = ("name", "priority", "user", "class")
MOST = 20_000
"""Jobs in one file: what two cores can play in an hour."""
LONGEST = 10 * 365 * 86400.0
"""Seconds that an arrival or a run time may be."""

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)


@dataclass(frozen=True)
class Job:
    """A line of the file.

    Attributes:
        name: as the file has it, or `job-` and the number of its line.
        line: of the file, for messages.
        arrival: seconds since the earliest job of the file.
        gpus: whole GPUs.
        seconds: from start to end.
        queue: as the file has it: a LocalQueue, NAMESPACE/LOCALQUEUE or a ClusterQueue.
        priority: a number, or the name of a WorkloadPriorityClass.
        user: whose it is, "" where the file does not say.
        cls: a label for tables, "" where the file has none.
    """

    name: str
    line: int
    arrival: float
    gpus: int
    seconds: float
    queue: str
    priority: str = "0"
    user: str = ""
    cls: str = ""


def read(path: Path) -> list[Job]:
    """The jobs of a CSV file with a header line, separated by commas, semicolons or tabs; arrivals begin at 0.

    Raises:
        WhatIfError: the file, or a field of it, cannot be used; the message names line and column.
    """
    rows = csv.reader(io.StringIO(text := _text(path), newline=""), delimiter=_delimiter(path, text), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows)]
        _check_header(path, header)
        lines = (_Line(path, rows.line_num, header, cells) for cells in rows if any(cell.strip() for cell in cells))
        jobs = [_job(line) for line in lines]
    except csv.Error as error:
        raise WhatIfError(f"{path} line {rows.line_num}: no CSV ({error}); is a quotation mark left open?") from None
    return _checked(path, jobs)


def _checked(path: Path, jobs: list[Job]) -> list[Job]:
    if not jobs:
        raise WhatIfError(f"{path} holds no jobs: put a line for each under the header")
    if len(jobs) > MOST:
        raise WhatIfError(f"{path} holds {len(jobs)} jobs, more than {MOST}: play a part of them")
    seen: dict[str, int] = {}
    for one in jobs:
        if one.name in seen:
            raise WhatIfError(
                f"{path} line {one.line}, column name: {one.name!r} is the name of line {seen[one.name]} too; "
                "give each job its own, or leave the column out"
            )
        seen[one.name] = one.line
    first = min(one.arrival for one in jobs)
    return [
        Job(one.name, one.line, one.arrival - first, one.gpus, one.seconds, one.queue, one.priority, one.user, one.cls)
        for one in sorted(jobs, key=lambda job: (job.arrival, job.line))
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise WhatIfError(f"{path} is no UTF-8 text: save it as CSV in UTF-8") from None
    except OSError as error:
        raise WhatIfError(f"{path}: {error.strerror}") from None


def _delimiter(path: Path, text: str) -> str:
    header = text.split("\n", 1)[0]
    if not header.strip():
        raise WhatIfError(f"{path} is empty: begin with a header line such as {','.join((*NEEDED, *OPTIONAL))}")
    return max(",;\t", key=header.count)


def _check_header(path: Path, header: list[str]) -> None:
    known = (*NEEDED, *OPTIONAL)
    for name in header:
        if name not in known:
            raise WhatIfError(f"{path} line 1: column {name!r} is not known; columns are {', '.join(known)}")
        if header.count(name) > 1:
            raise WhatIfError(f"{path} line 1: column {name!r} stands there twice; leave one of them out")
    if lacking := [name for name in NEEDED if name not in header]:
        raise WhatIfError(f"{path} line 1: column {lacking[0]!r} is missing; needed are {', '.join(NEEDED)}")


class _Line:
    """A line of the file, cell by cell."""

    def __init__(self, path: Path, number: int, header: list[str], cells: list[str]) -> None:
        self.path, self.number = path, number
        if len(cells) != len(header):
            raise WhatIfError(f"{path} line {number}: {len(cells)} fields under {len(header)} columns")
        self._cells: Mapping[str, str] = dict(zip(header, (cell.strip() for cell in cells), strict=True))

    def text(self, column: str, default: str = "") -> str:
        return self._cells.get(column, "") or default

    def needed(self, column: str, meaning: str) -> str:
        return self.text(column) or self.refuse(column, f"is empty; it is {meaning}")

    def refuse(self, column: str, why: str) -> str:
        value = self._cells.get(column, "")
        said = f"{value[:40]!r} " if value else ""
        raise WhatIfError(f"{self.path} line {self.number}, column {column}: {said}{why}")

    def duration(self, column: str, *, least: float) -> float:
        found = _DURATION.fullmatch(self.needed(column, "a time such as 90, 90s, 15m, 2h or 1d"))
        if found is None:
            self.refuse(column, "is no time; write 90, 90s, 15m, 2h or 1d")
            raise AssertionError
        value = float(found[1]) * _UNITS[found[2]]
        if not least <= value <= LONGEST or not math.isfinite(value):
            self.refuse(column, f"is out of range: {'more than 0' if least else '0'} to {LONGEST / 86400:.0f}d")
        return value


def _job(line: _Line) -> Job:
    gpus = line.needed("gpus", "a whole number of GPUs")
    if not gpus.isascii() or not gpus.isdigit() or not 1 <= int(gpus[:9]) <= 100_000 or len(gpus) > 9:
        line.refuse("gpus", "is no whole number of GPUs from 1 to 100000")
    return Job(
        name=line.text("name", f"job-{line.number}"),
        line=line.number,
        arrival=line.duration("arrival", least=0.0),
        gpus=int(gpus),
        seconds=line.duration("seconds", least=1e-3),
        queue=line.needed("queue", "a LocalQueue, NAMESPACE/LOCALQUEUE or a ClusterQueue"),
        priority=line.text("priority", "0"),
        user=line.text("user"),
        cls=line.text("class"),
    )
