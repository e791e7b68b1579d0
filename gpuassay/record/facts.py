"""What every lab and the engine note, whatever the system; `Recording` has a property or method for each."""

from __future__ import annotations

import msgspec

from gpuassay.manifest import Manifest
from gpuassay.record.notes import Note


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a request that the API server might refuse.

    Attributes:
        accepted: it was done.
        status: HTTP status of a refusal.
        reason: of a refusal, Kubernetes' word for it.
        message: of a refusal, the server's words.
    """

    accepted: bool
    status: int = 0
    reason: str = ""
    message: str = ""


class Outside(msgspec.Struct, frozen=True):
    """A gateway of somebody else, at which a scenario was acted out.

    Attributes:
        pool: its InferencePool.
        endpoints: `address:port` of each model server.
    """

    pool: Manifest
    endpoints: list[str]


MARKS = Note("marks", dict[str, int], "when a scenario came to a named point, ns since the epoch", default={})
OBSERVED = Note("observed", dict[str, bool], "whether the system showed what it was given time for", default={})
ATTEMPTS = Note("attempts", dict[str, Attempt], "what came of requests that might be refused", default={})
AT_REST = Note("at_rest", bool, "whether the scenario's objects changed no more at its end", default=None)
REDEFINED = Note(
    "redefined",
    list[int],
    "from and to when (ns since the epoch) definitions of kinds were replaced, which ends every watch of these",
    default=[],
)
ARMS = Note("arms", list[str], "names of the arms whose recordings lie beside this one")
OUTSIDE = Note("outside", Outside, "the gateway of somebody else at which it was acted out", default=None)
