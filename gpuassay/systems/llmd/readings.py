"""What a recording of routing tells besides objects: requests to model servers, and their KV-cache events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from gpuassay.manifest import Manifest
from gpuassay.record.parts import Part
from gpuassay.record.recording import Recording

REQUESTS = Part("requests.jsonl", "a request to a model server (docs/load.md); `wave` names the occasion")
KV_EVENTS = Part("kv-events.jsonl", "a KV-cache event of a model server, as the forwarder passed it on")


class RoutingRecording(Recording):
    """What happened in one scenario of routing."""

    PARTS: ClassVar[Mapping[str, Part]] = {"requests": REQUESTS, "kv_events": KV_EVENTS}

    @cached_property
    def requests(self) -> list[Manifest]:
        """Rows of requests to model servers, as `gpuassay.load` writes them, in the order of the asks."""
        return self.rows(REQUESTS)

    def asks(self, wave: str) -> list[Manifest]:
        """The rows of one wave of requests.

        Raises:
            LookupError: there was no such wave.
        """
        rows = [row for row in self.requests if row.get("wave") == wave]
        if not rows:
            waves = ", ".join(dict.fromkeys(str(row.get("wave")) for row in self.requests)) or "none"
            raise LookupError(f"{self.name}: no wave of requests called {wave!r}; there are {waves}")
        return rows

    @cached_property
    def kv_events(self) -> list[Manifest]:
        """KV-cache events of model servers, in the order in which the forwarder passed them on."""
        return self.rows(KV_EVENTS)
