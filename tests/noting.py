"""What a stand-in for a lab notes: by the methods of the real one."""

from __future__ import annotations

from typing import Any

from gpuassay.scenarios.lab import Lab


class Noting:
    """The notes of a lab, and nothing else of it."""

    namespace = "ours"
    note = Lab.note
    note_under = Lab.note_under
    note_next = Lab.note_next
    noted = Lab.noted
    mark = Lab.mark

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
