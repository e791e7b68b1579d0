"""Recordings of the arms of a measurement, live and in a replay."""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

import pytest

from gpuassay.record.recording import Recording
from gpuassay.session.outcome import RECORDINGS
from gpuassay.session.serving import served

R = TypeVar("R", bound=Recording)


class Arms(Protocol):
    """From the recording of a scenario to those of its arms, by name (fixture `arms`).

    Example:
        def test_order(configurations: KueueRecording, arms: Arms) -> None:
            fifo = arms(configurations)["fifo-1"]
    """

    def __call__(self, of: R) -> dict[str, R]:
        """The arms' recordings, of the same kind."""
        ...


_loaded: dict[str, Recording] = {}


def finder(item: pytest.Item) -> Arms:
    """Finds arms for a test; invariants are checked on every arm that it asked for."""

    def find(of: R) -> dict[str, R]:
        found: dict[str, R] = {}
        assert of.folder is not None
        for name in of.arms:
            place = of.folder.with_name(f"{of.folder.name}.{name}")
            if str(place) not in _loaded:
                _loaded[str(place)] = type(of).load(place).require_known().require_of(place.name)
                _loaded[str(place)].system = of.system
            found[name] = served(item.config, cast("R", _loaded[str(place)]))
        item.stash.setdefault(RECORDINGS, []).extend(found.values())
        return found

    return find
