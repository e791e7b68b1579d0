"""What a test hands to the report beside its verdict: figures, an interval, a threshold, exhibits."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from gpuassay.manifest import Manifest

if TYPE_CHECKING:
    from gpuassay.stats.claims import Claim, Ruling
    from gpuassay.stats.evidence import Estimate, Kind


ALPHA = 0.01
"""One-sided level at which detectable effects are told: that of a single claim with one look."""


OUTCOMES = {
    "holds": "reproduced", "refuted": "not reproduced", "undecided": "not decided", "hopeless": "not decided",
}  # fmt: skip
"""Rulings in the words of a reproduction."""


def _bars(claim: Claim) -> str:
    low, high = claim.bars
    if claim.kind == "ratio":
        low, high = math.exp(low), math.exp(high)
    told = {"lower": f"below {low:.4g}", "higher": f"above {high:.4g}", "equal": f"{low:.4g} to {high:.4g}"}
    return told[claim.direction]


@dataclass
class Measure:
    """The test's own lines in the report (fixture `measure`).

    Example:
        def test_makespan(arm: KueueRecording, measure: Measure) -> None:
            measure.value(makespan_s=115.2)
            measure.threshold("within 2 % of the model")
    """

    run_dir: Path
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    bounds: list[float] | None = None
    limit: float | str | None = None

    def value(self, **values: float | int | str | None) -> None:
        """Figures with their unit in the name, such as `makespan_s=115.2`. Floats keep 4 significant decimals."""
        self.values |= {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}

    def interval(self, low: float, high: float) -> None:
        """Confidence interval of the judged figure."""
        self.bounds = [round(low, 4), round(high, 4)]

    def effect(self, found: Estimate, kind: Kind, unit: str = "") -> None:
        """What the judged figure's rounds can see: their spread, and the least effect that they find in 80 and in 90 %.

        `unit` is that of a difference; ratios have none, and their effects are relative (0.03 is 3 %). `gpuassay power`
        reads these figures of a run and tells what other numbers of rounds would see.
        """
        from gpuassay.stats.claims import POWERS, detectable  # scipy takes a second

        seen = {f"detectable_{round(100 * chance)}": detectable(found, ALPHA, kind, chance) for chance in POWERS}
        figures = {"effect_error": found.error, "effect_freedom": found.freedom, **seen}
        self.values |= {key: value if value is None else float(f"{value:.4g}") for key, value in figures.items()}
        self.values |= {"effect_of": kind, "effect_unit": unit, "rounds": found.n}

    def claim(self, where: str, claim: Claim, ruling: Ruling, unit: str = "") -> None:
        """How a claim of the paper stands: its value, ours with the interval that decided, and how it was decided.

        `where` is the table or figure it stands in, `unit` that of its figures ("" for ratios).
        """
        if ruling.estimate is not None:
            self.effect(ruling.estimate, claim.kind, unit)
        self.value(claim_in=where, paper=claim.paper, ours=ruling.value, unit=unit, rounds=ruling.rounds)
        self.value(outcome=OUTCOMES[ruling.outcome], confidence=ruling.confidence, detectable_80=ruling.detectable)
        self.threshold(_bars(claim))
        if ruling.confidence:
            self.interval(ruling.low, ruling.high)

    def untestable(self, where: str, paper: float | None, why: str, unit: str = "") -> NoReturn:
        """Skip a claim of the paper that cannot be tested here, and say why."""
        self.value(claim_in=where, paper=paper, ours=None, unit=unit, outcome="not testable here")
        pytest.skip(f"not testable here: {why}")

    def threshold(self, limit: float | str) -> None:
        """What the judged figure was held against."""
        self.limit = limit

    def exhibit(self, id: str, **content: Any) -> None:
        """A table or chart of the report (docs/architecture.md lists the kinds)."""
        body: Manifest = {"id": id, **content}
        folder = self.run_dir / "exhibits"
        folder.mkdir(exist_ok=True)
        (folder / f"{id}.json").write_text(json.dumps(body) + "\n")
