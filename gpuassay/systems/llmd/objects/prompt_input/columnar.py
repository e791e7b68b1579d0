"""Rows of Parquet and Arrow files, by pyarrow where it is installed: the suite itself does not need it."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from typing import IO, Any

from gpuassay.systems.llmd.objects.prompt_input.entries import Entry
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry
from gpuassay.systems.llmd.objects.prompt_input.text import ARROW, PARQUET

ROWS = 256
"""Rows that are in memory at a time."""


def columnar_entries(file: IO[bytes], head: bytes) -> Iterator[Entry]:
    """The rows of a Parquet file, an Arrow file or an Arrow stream.

    Raises:
        BadEntry: pyarrow is not installed, or the file is damaged.
    """
    number = 0
    try:
        for batch in _batches(file if file.seekable() else io.BytesIO(file.read()), head):
            for row in batch.to_pylist():
                number += 1
                yield Entry(f"row {number}", f"row{number}", row)
    except ImportError as error:
        kind = "Parquet" if head.startswith(PARQUET) else "Arrow"
        said = f"{kind} is read by pyarrow, which cannot be imported ({error}): pip install pyarrow, or give JSON Lines"
        raise BadEntry("", said) from error
    except (OSError, ValueError, EOFError, KeyError) as error:  # pyarrow's errors are kinds of these
        if isinstance(error, BadEntry):
            raise
        raise BadEntry(f"row {number + 1}" if number else "", f"cannot be read by pyarrow: {error}") from error


def _batches(file: Any, head: bytes) -> Iterator[Any]:
    if head.startswith(PARQUET):
        parquet: Any = importlib.import_module("pyarrow.parquet")
        yield from parquet.ParquetFile(file).iter_batches(batch_size=ROWS)
        return
    ipc: Any = importlib.import_module("pyarrow.ipc")
    if head.startswith(ARROW):
        reader = ipc.open_file(file)
        for place in range(reader.num_record_batches):
            yield reader.get_batch(place)
    else:
        yield from ipc.open_stream(file)
