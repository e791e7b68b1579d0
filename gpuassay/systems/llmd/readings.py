"""What a recording of routing tells besides objects: requests, calls to endpoint pickers, and KV-cache events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeVar

from gpuassay.record.parts import Part
from gpuassay.record.recording import Recording
from gpuassay.systems.llmd.rows import (
    KvEvent,
    NeighbourRow,
    PickerCall,
    RequestRow,
    RestArm,
    RestLog,
    RestSeries,
    ShapeRow,
)

REQUESTS = Part(
    "requests.jsonl", "a request to a model server (docs/load.md); `wave` names the occasion", row=RequestRow
)
PICKER_CALLS = Part(
    "picker-calls.jsonl", "a request asked of an endpoint picker itself; `wave` names the occasion", row=PickerCall
)
KV_EVENTS = Part("kv-events.jsonl", "a KV-cache event of a model server, as the forwarder passed it on", row=KvEvent)
SHAPES = Part("shapes.jsonl", "a request of some shape, asked directly or through the gateway", row=ShapeRow)
NEIGHBOURS = Part("neighbours.jsonl", "a fault of a picker's neighbour, and how others fared", row=NeighbourRow)
REST_ARMS = Part("rest-arms.jsonl", "an arm of routing at rest, once nothing is asked of it any more", row=RestArm)
REST_SERIES = Part("rest-series.jsonl", "a series of a program of an arm, at its start and at rest", row=RestSeries)
REST_LOGS = Part("rest-logs.jsonl", "an error or a crash in the log of a program of an arm", row=RestLog)

_OF_A_CALL = b'"clear_route_cache":'
"""What stands in the line of a call, and in that of no request: older recordings have both in one file."""


class _InWave(Protocol):
    wave: str


W = TypeVar("W", bound=_InWave)


class RoutingRecording(Recording):
    """What happened in one scenario of routing."""

    PARTS: ClassVar[Mapping[str, Part[Any]]] = {
        "requests": REQUESTS, "picker_calls": PICKER_CALLS, "kv_events": KV_EVENTS,
        "shapes": SHAPES, "neighbours": NEIGHBOURS,
        "rest_arms": REST_ARMS, "rest_series": REST_SERIES, "rest_logs": REST_LOGS,
    }  # fmt: skip

    @cached_property
    def requests(self) -> list[RequestRow]:
        """Requests to model servers, in the order in which they were sent."""
        return self._decoded(REQUESTS, [line for line in self._lines(REQUESTS) if not _of_a_call(line[1])])

    @cached_property
    def picker_calls(self) -> list[PickerCall]:
        """Requests asked of endpoint pickers themselves, in the order of the asks."""
        before = [line for line in self._lines(REQUESTS) if _of_a_call(line[1])]
        return self._decoded(PICKER_CALLS, before) + self.rows(PICKER_CALLS)

    def asks(self, wave: str) -> list[RequestRow]:
        """The requests of one wave.

        Raises:
            LookupError: there was no such wave.
        """
        return self._of_wave(wave, self.requests, "requests")

    def calls(self, wave: str) -> list[PickerCall]:
        """The calls to endpoint pickers of one wave.

        Raises:
            LookupError: there was no such wave.
        """
        return self._of_wave(wave, self.picker_calls, "calls to a picker")

    def _of_wave(self, wave: str, rows: Sequence[W], what: str) -> list[W]:
        found = [row for row in rows if row.wave == wave]
        if not found:
            waves = ", ".join(dict.fromkeys(row.wave for row in rows)) or "none"
            raise LookupError(f"{self.name}: no wave of {what} called {wave!r}; there are {waves}")
        return found

    @cached_property
    def kv_events(self) -> list[KvEvent]:
        """KV-cache events of model servers, in the order in which the forwarder passed them on."""
        return self.rows(KV_EVENTS)


def _of_a_call(line: Any) -> bool:
    return isinstance(line, bytes) and _OF_A_CALL in line
