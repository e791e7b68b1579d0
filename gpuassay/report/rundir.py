"""The run directory (format 1, `docs/architecture.md`) read into typed objects.

`run.json` and `verdicts.jsonl` must be whole: a report without a verdict, or that does not know whether it is a
replay, would mislead. Everything else may be missing or broken: it is left out and named in `RunDir.problems`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from gpuassay.report.exhibits import EXHIBIT, Exhibit, Real
from gpuassay.report.text import clean_json, mapping, one_line
from gpuassay.verdict import Level, State, Verdict

FORMAT = 1
"""The run directory format this room reads."""


class ReportError(Exception):
    """A run directory that no honest report can be written from. The message is one line."""

    exit_code = 2
    """What the command line exits with: the user's to mend."""


class _Open(BaseModel):
    """Unknown keys are ignored, so that a newer minor writer can still be read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Cluster(_Open):
    """The Kubernetes API that was tested."""

    provider: str = "unknown"
    kubernetes: str | None = None
    description: str | None = None


class Component(_Open):
    """An upstream program: where it came from and which bytes it is."""

    name: str
    version: str | None = None
    source: str | None = None
    sha256: str | None = None


class Emulated(_Open):
    """Something that was not real, what stood in for it, and what that means for the verdicts."""

    what: str
    by: str = ""
    means: str = ""


VARIANTS = 4
"""Ways in which one emulated part differed from scenario to scenario that a report tells; the others are counted."""


def once(parts: Sequence[Emulated]) -> list[Emulated]:
    """Every emulated part once: where several say what the same stand-in means, what they share and how they differ."""
    groups: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        means = groups.setdefault((part.what, part.by), [])
        if part.means not in means:
            means.append(part.means)
    return [Emulated(what=what, by=by, means=_together(means)) for (what, by), means in groups.items()]


def _together(means: list[str]) -> str:
    if len(means) == 1:
        return means[0]
    words = [one.split(" ") for one in means]
    alike = next((i for i, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), 0)
    shared = " ".join([*words[0][:alike], ""])
    if shared.count("(") > shared.count(")"):  # a bracket is not torn apart
        shared = shared[: shared.rindex("(")]
    told = "; or: ".join(one.removeprefix(shared) for one in means[:VARIANTS])
    more = f"; and {len(means) - VARIANTS} more variants" if len(means) > VARIANTS else ""
    return f"{shared}{told}{more}"


class Run(_Open):
    """`run.json`. Times are ISO 8601 or epoch seconds."""

    format: Literal[1]
    run_id: str
    mode: Literal["live", "replay"]
    replay_of: str | None = None
    started: str | float | None = None
    ended: str | float | None = None
    command: list[str] = []
    cluster: Cluster | None = None
    components: list[Component] = []
    machine: dict[str, Any] = {}
    emulated: list[Emulated] = []
    capabilities: list[str] = []
    mutant: str | None = None
    declared: int = 0
    """Behaviours that the run was to judge; 0 in runs that do not say so."""

    @field_validator("emulated")
    @classmethod
    def _each_once(cls, parts: list[Emulated]) -> list[Emulated]:
        return once(parts)

    @property
    def unfinished(self) -> bool:
        """Whether the run is still under way, or was killed: it says how much it was to judge, and no end."""
        return self.ended is None and self.declared > 0

    @property
    def banner(self) -> str:
        """What must be said everywhere: `REPLAY of ...`, `MUTANT ...`, `SO FAR`, or "" for a finished live run."""
        said: list[str] = []
        if self.mode == "replay":
            said.append(f"REPLAY of {self.replay_of}" if self.replay_of else "REPLAY")
        if self.mutant:
            said.append(f"MUTANT {self.mutant}")
        if self.unfinished:
            said.append("SO FAR")
        return ", ".join(said)


Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]
"""A time since the epoch."""


class RecordingHead(_Open):
    """What `recording.json` says about a recording as a whole. Times in ns since the epoch."""

    scenario: str = ""
    profile: str | None = None
    started_ns: Nanoseconds | None = None
    ended_ns: Nanoseconds | None = None
    outcome: str | None = None
    error: Any = None
    notes: Any = None
    gaps: Any = None
    pressure: Any = None


@dataclass(frozen=True)
class RunDir:
    """A run directory as read.

    Attributes:
        path: the directory.
        run: `run.json`.
        verdicts: one per declared behaviour, in file order.
        durations: seconds per test (node id).
        exhibits: readable exhibits, in file order.
        recordings: heads of the recordings by folder name.
        problems: one line for each thing that was missing or unreadable.
    """

    path: Path
    run: Run
    verdicts: list[Verdict]
    durations: dict[str, float] = field(default_factory=dict[str, float])
    exhibits: list[Exhibit] = field(default_factory=list[Exhibit])
    recordings: dict[str, RecordingHead] = field(default_factory=dict[str, RecordingHead])
    problems: list[str] = field(default_factory=list[str])

    @property
    def open(self) -> int:
        """Declared behaviours that an unfinished run has not judged."""
        return max(0, self.run.declared - len(self.verdicts)) if self.run.unfinished else 0


_VERDICT = TypeAdapter(Verdict)


def load(run_dir: Path) -> RunDir:
    """Read `run_dir`.

    Raises:
        ReportError: no directory, or `run.json` or `verdicts.jsonl` missing, truncated or of a foreign format.
    """
    if not run_dir.is_dir():
        raise ReportError(f"{run_dir}: no such run directory")
    problems: list[str] = []
    run = _run(run_dir / "run.json")
    verdicts = list(_verdicts(run_dir / "verdicts.jsonl"))
    if run.ended is None:
        problems.append("the run is not finished: it is still under way, or was killed; this is what was known so far")
    if (run_dir / "leaks.txt").exists():
        problems.append("objects were left behind on the cluster: leaks.txt names them, and the run is not green")
    repeated = [name for name, count in Counter(v.behaviour for v in verdicts).items() if count > 1]
    if repeated:
        problems.append(f"verdicts.jsonl: declared more than once: {one_line(', '.join(repeated))}")
    return RunDir(
        run_dir,
        run,
        verdicts,
        _durations(run_dir / "durations.jsonl", problems),
        list(_exhibits(run_dir / "exhibits", problems)),
        dict(_recordings(run_dir / "recordings", problems)),
        problems,
    )


def _parse(text: str) -> Any:
    """Parse JSON with its strings cleaned; ValueError with a short message when it is not JSON."""
    try:
        return clean_json(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError("missing") from None
    except OSError as error:
        raise ValueError(error.strerror or "unreadable") from None


def _why(error: ValueError) -> str:
    """One line that says what is wrong with a file."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON, truncated? ({error.msg} at character {error.pos})"
    return one_line(str(error))


def _run(path: Path) -> Run:
    try:
        raw = _parse(_read(path))
        found = (mapping(raw) or {}).get("format")
        if found != FORMAT:
            raise ValueError(f"format {found!r}, this program reads format {FORMAT}")
        return Run.model_validate(raw)
    except ValueError as error:
        raise ReportError(f"{path}: {_why(error)}") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that hold something."""
    for index, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            yield index, line


def _verdicts(path: Path) -> Iterator[Verdict]:
    index = 0
    try:
        for index, line in _lines(path):  # noqa: B007 - read in the handler
            verdict = _VERDICT.validate_python(_parse(line))
            State(verdict.state)
            Level(verdict.level)
            yield verdict
    except ValueError as error:
        where = f"{path}:{index}" if index else str(path)
        raise ReportError(f"{where}: {_why(error)}") from None


class _Duration(_Open):
    test: str
    seconds: Real


def _durations(path: Path, problems: list[str]) -> dict[str, float]:
    """Seconds per test; a test listed more than once (set-up, call, tear-down) is summed."""
    total: dict[str, float] = {}
    index = 0
    try:
        for index, line in _lines(path):  # noqa: B007 - read in the handler
            entry = _Duration.model_validate(_parse(line))
            total[entry.test] = total.get(entry.test, 0.0) + entry.seconds
    except ValueError as error:
        problems.append(f"{path.name}{f':{index}' if index else ''}: {_why(error)}; durations after it are left out")
    return total


def _exhibits(folder: Path, problems: list[str]) -> Iterator[Exhibit]:
    if not folder.is_dir():
        problems.append("exhibits: missing; no test of this run left a table or a chart")
        return
    for path in sorted(folder.glob("*.json")):
        try:
            yield EXHIBIT.validate_python(_parse(_read(path)))
        except ValueError as error:
            problems.append(f"exhibits/{path.name}: {_why(error)}; left out")


def _recordings(folder: Path, problems: list[str]) -> Iterator[tuple[str, RecordingHead]]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            continue
        try:
            yield path.name, RecordingHead.model_validate(_parse(_read(path / "recording.json")))
        except ValueError as error:
            problems.append(f"recordings/{path.name}/recording.json: {_why(error)}")
