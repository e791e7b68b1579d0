"""What a test hands to the report beside its verdict: figures, an interval, a threshold, exhibits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest


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

    def threshold(self, limit: float | str) -> None:
        """What the judged figure was held against."""
        self.limit = limit

    def exhibit(self, id: str, **content: Any) -> None:
        """A table or chart of the report (docs/architecture.md lists the kinds)."""
        body: Manifest = {"id": id, **content}
        folder = self.run_dir / "exhibits"
        folder.mkdir(exist_ok=True)
        (folder / f"{id}.json").write_text(json.dumps(body) + "\n")
