"""How a run of a small suite ended: shared by the tests of the plugin and of live runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Outcome:
    """What a run of a small suite left."""

    code: int
    output: str
    run: Path

    @property
    def verdicts(self) -> dict[str, dict[str, Any]]:
        """Verdict lines by behaviour."""
        place = self.run / "verdicts.jsonl"
        assert place.exists(), self.output
        lines = (json.loads(line) for line in place.read_text().splitlines())
        return {line["behaviour"]: line for line in lines}

    @property
    def states(self) -> dict[str, str]:
        """State by behaviour."""
        return {behaviour: line["state"] for behaviour, line in self.verdicts.items()}

    def refuted(self, behaviour: str) -> bool:
        """Whether its judgement refutes it; a busy machine makes INCONCLUSIVE of that where it hangs on a clock."""
        verdict = self.verdicts[behaviour]
        return verdict["state"] == "FAIL" or "what was seen hangs on a clock" in verdict["reason"]
