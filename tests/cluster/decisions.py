"""What an endpoint picker decided, and why, read from its own log.

Needs a log of verbosity 4 (`Arm(verbosity=4)`), which costs the picker time: not for measurements. A client that sends
the header `x-request-id` finds its request again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

VERBOSITY = 4
"""Of the log that tells scores (`-v`); the choice itself is told from 3 on."""


@dataclass
class Decision:
    """One request's way through the picker.

    Attributes:
        request: its `x-request-id`.
        scores: scorer's name to endpoint's name (`<pod>-rank-<port's number>`) to score, before weights, 0 to 1.
        picked: `address:port`, None where nothing was picked.
    """

    request: str
    scores: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    picked: str | None = None


def decisions(lines: Iterable[dict[str, Any]]) -> list[Decision]:
    """Every decision that the log lines tell of, in the order in which requests came."""
    found: dict[str, Decision] = {}
    for line in lines:
        request = line.get("x-request-id")
        if not isinstance(request, str):
            continue
        decision = found.setdefault(request, Decision(request))
        message = line.get("msg")
        if message == "Calculated score":
            scorer = str(line["plugin"]).partition("/")[0]
            decision.scores.setdefault(scorer, {})[str(line["endpoint"]["name"])] = float(line["score"])
        elif message == "Request handled":
            decision.picked = str(line["endpoint"])
    return list(found.values())
