"""What stands between a stored recording and the test that judges it: nothing, or what a vacuity run does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import pytest

from gpuassay.record.recording import Recording

R = TypeVar("R", bound=Recording)

SERVED = pytest.StashKey[Callable[[Recording], Recording]]()
"""Of a session that shows its tests something else than what was recorded."""


def served(config: pytest.Config, recording: R) -> R:
    """The recording as this session's tests see it."""
    if SERVED not in config.stash:
        return recording
    return cast("R", config.stash[SERVED](recording))
