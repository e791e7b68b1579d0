"""What became of each behaviour under each mutant, as kept in a JSON file: with date, version and time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gpuassay.verdict import State

FILE = Path(__file__).with_name("results.json")
"""The results that come with the library."""

IDENTITY = "identity"
"""The mutant that breaks nothing: whoever turns red under it accuses the innocent."""

KILLED, SURVIVED, SILENT, NOT_RUN = "killed", "SURVIVED", "says nothing", "not run"
"""The fates of a behaviour under its mutant: red; not red; skipped, broken or failing anyway; never tried."""


class BadResultsError(Exception):
    """A file of results cannot be used; the message is one line."""

    exit_code = 2


class Tried(BaseModel):
    """One behaviour under one mutant.

    Attributes:
        state: how it ended.
        date: when, as YYYY-MM-DD (UTC).
        version: of this library.
    """

    model_config = ConfigDict(frozen=True)

    state: State
    date: str
    version: str

    @property
    def fate(self) -> str:
        """`killed` only where it was refuted; what was skipped, broke or fails anyway says nothing."""
        if self.state is State.FAIL:
            return KILLED
        silent = (State.SKIP, State.ERROR, State.KNOWN_DEFECT, State.INCONCLUSIVE)
        return SILENT if self.state in silent else SURVIVED


class Broken(BaseModel):
    """A mutant.

    Attributes:
        layer: what it changes: objects, patches, deployment, node, GPU, protocol; "nothing" of identity.
        breaks: what is broken, in words.
        seconds: how long its last run took.
        behaviours: by id.
    """

    layer: str = ""
    breaks: str = ""
    seconds: float = 0.0
    behaviours: dict[str, Tried] = {}


class Results(BaseModel):
    """The whole file.

    Attributes:
        format: 1.
        mutants: by name.
    """

    format: Literal[1] = 1
    mutants: dict[str, Broken] = {}

    def fate(self, mutant: str, behaviour: str) -> str:
        """What became of a behaviour under a mutant; `not run` where nobody has tried."""
        tried = self.tried(mutant, behaviour)
        return tried.fate if tried else NOT_RUN

    def tried(self, mutant: str, behaviour: str) -> Tried | None:
        """The last trial of a behaviour with a mutant."""
        broken = self.mutants.get(mutant)
        return broken.behaviours.get(behaviour) if broken else None

    def layer(self, mutant: str) -> str:
        """What a mutant changes, "" where that is not known."""
        return self.mutants[mutant].layer if mutant in self.mutants else ""


def load(file: Path = FILE) -> Results:
    """The results in `file`; none where there is no such file.

    Raises:
        BadResultsError: it is no file of results, or of a format that this version does not know.
    """
    if not file.exists():
        return Results()
    try:
        return Results.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise BadResultsError(
            f"{file}: no kill results of format 1 ({why}); name another file with --results"
        ) from None


def save(results: Results, file: Path = FILE) -> None:
    """Write `results` in one step, sorted, so that two runs differ only where they differ."""
    mutants = {
        name: one.model_copy(update={"behaviours": dict(sorted(one.behaviours.items()))})
        for name, one in sorted(results.mutants.items())
    }
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(results.model_copy(update={"mutants": mutants}).model_dump_json(indent=1) + "\n")
    draft.replace(file)
