"""What a test hands to the report beside its verdict: figures, an interval, a threshold, exhibits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.stats.evidence import Estimate, Kind


ALPHA = 0.01
"""One-sided level at which detectable effects are told: that of a single claim with one look."""


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

    def threshold(self, limit: float | str) -> None:
        """What the judged figure was held against."""
        self.limit = limit

    def exhibit(self, id: str, **content: Any) -> None:
        """A table or chart of the report (docs/architecture.md lists the kinds)."""
        body: Manifest = {"id": id, **content}
        folder = self.run_dir / "exhibits"
        folder.mkdir(exist_ok=True)
        (folder / f"{id}.json").write_text(json.dumps(body) + "\n")
