"""What the name of a file says of its kind, and which files of a folder hold prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry

Kind = Literal["json", "csv", "text", "parquet", "arrow"]

_KINDS: dict[str, Kind] = {
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".jsonlines": "json", ".jl": "json",
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".psv": "csv",
    ".txt": "text", ".text": "text", "": "text",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")

_ABOUT = frozenset({
    "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "metadata.json",
    "license", "license.txt", "requirements.txt", "_success", "_common_metadata", "_metadata",
})  # fmt: skip
"""Files beside a data set that are none of it."""


def kind_of(path: Path) -> Kind | None:
    """What a file is by its name, packed or not; None if that says nothing."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _KINDS.get(suffixes[-1] if suffixes else "")


def files_of(folder: Path) -> list[Path]:
    """The files of a folder, and of those in it, that hold prompts, by name.

    Raises:
        BadEntry: there are none, or they are of more than one kind.
        OSError: it cannot be read.
    """
    found: dict[Kind, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        kind = kind_of(path)
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if kind is None or hidden or not path.suffix or path.name.lower() in _ABOUT or not path.is_file():
            continue
        found.setdefault(kind, []).append(path)
    if not found:
        raise BadEntry("", "a folder without a .json, .jsonl, .csv, .parquet, .arrow or .txt file; name a file")
    if len(found) > 1:
        raise BadEntry("", f"a folder with files of several kinds ({', '.join(sorted(found))}); name one of them")
    return next(iter(found.values()))
