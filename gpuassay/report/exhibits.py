"""Exhibits: tables and charts that tests computed from recordings, checked before anything is drawn."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from gpuassay.report.text import column, mapping, natural, sequence

Real = Annotated[float, Field(ge=-1e18, le=1e18, allow_inf_nan=False)]
"""A finite number of sane size: nothing else can be drawn."""

Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
"""A count or share."""


class _Exhibit(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    title: str
    notes: list[str] = []
    section: str = "Other"

    @model_validator(mode="before")
    @classmethod
    def _single_note(cls, data: Any) -> Any:
        """Notes may be one sentence, a list of them, or null."""
        entry = mapping(data)
        if entry is None or sequence(entry.get("notes", [])) is not None:
            return data
        return entry | {"notes": [entry["notes"]] if entry["notes"] else []}


class Table(_Exhibit):
    """Rows of strings, numbers or nulls under named columns."""

    kind: Literal["table"]
    columns: list[str]
    rows: list[list[Any]]

    @model_validator(mode="after")
    def _rectangular(self) -> Table:
        for index, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(f"row {index} has {len(row)} cells, {len(self.columns)} columns")
        return self

    @property
    def cells(self) -> list[list[str]]:
        """The rows as text, the numbers of a column with equal decimals."""
        columns = [column([_plain(row[index]) for row in self.rows]) for index in range(len(self.columns))]
        return [list(row) for row in zip(*columns, strict=True)]

    @cached_property  # a page asks for it in each of thousands of rows
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers, and beside them nothing but gaps."""
        columns = [[row[index] for row in self.rows if row[index] is not None] for index in range(len(self.columns))]
        return [bool(values) and all(isinstance(one, int | float) for one in values) for values in columns]


def _plain(value: Any) -> Any:
    """A nested value of a table cell as its JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


class Bar(BaseModel):
    """One bar of a Gantt chart, `start` <= `end` in the chart's unit."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    start: Real
    end: Real
    label: str = ""
    css: str = Field("", alias="class")

    @model_validator(mode="after")
    def _forward(self) -> Bar:
        if self.end < self.start:
            raise ValueError(f"bar {self.label!r} ends before it starts")
        return self


class Lane(BaseModel):
    """A row of a Gantt chart, such as one GPU."""

    label: str
    bars: list[Bar] = []


class Gantt(_Exhibit):
    """Bars in lanes over time."""

    kind: Literal["gantt"]
    lanes: list[Lane]
    unit: str = "s"


class Series(BaseModel):
    """A named list of (x, y), with the interval of each y where it is known."""

    label: str
    points: list[tuple[Real, Real]]
    intervals: list[tuple[Real, Real]] = []

    @model_validator(mode="after")
    def _paired(self) -> Series:
        if self.intervals and len(self.intervals) != len(self.points):
            raise ValueError(f"series {self.label!r}: {len(self.points)} points, {len(self.intervals)} intervals")
        return self


class Lines(_Exhibit):
    """Series over x: constant between points (`steps`) or joined by straight lines (`curve`).

    `log` names the axes with a logarithmic scale ("x", "y" or "xy"); what is not above zero is not drawn there.
    """

    kind: Literal["steps", "curve"]
    series: list[Series]
    x: str = ""
    y: str = ""
    log: Literal["", "x", "y", "xy"] = ""


class Sample(BaseModel):
    """A named list of values."""

    label: str
    values: list[Real]


class Cdf(_Exhibit):
    """Empirical distribution functions of one or more samples."""

    kind: Literal["cdf"]
    series: list[Sample]
    x: str = ""
    log: Literal["", "x"] = ""


class Heatmap(_Exhibit):
    """Cells of a matrix, `values[row][column]`, the darker the greater."""

    kind: Literal["heatmap"]
    rows: list[str]
    columns: list[str]
    values: list[list[Amount]]
    x: str = ""
    y: str = ""

    @model_validator(mode="after")
    def _rectangular(self) -> Heatmap:
        if len(self.values) != len(self.rows) or any(len(row) != len(self.columns) for row in self.values):
            raise ValueError(f"values are not {len(self.rows)} x {len(self.columns)}")
        return self


class SliceBox(BaseModel):
    """`size` memory slices of a GPU from `slot` on, in one state from `start` to `end` (the map's unit)."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    gpu: Annotated[int, Field(ge=0)]
    slot: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=1)]
    start: Real
    end: Real
    label: str = ""
    css: str = Field("", alias="class")

    @model_validator(mode="after")
    def _forward(self) -> SliceBox:
        if self.end < self.start:
            raise ValueError(f"box {self.label!r} ends before it starts")
        return self


class SliceMap(_Exhibit):
    """Memory slices of GPUs over time: boxes on `gpus`, each of which has `slots` memory slices."""

    kind: Literal["slices"]
    gpus: list[str]
    slots: Annotated[int, Field(ge=1, le=64)]
    boxes: list[SliceBox] = []
    unit: str = "s"

    @model_validator(mode="after")
    def _inside(self) -> SliceMap:
        for box in self.boxes:
            if box.gpu >= len(self.gpus) or box.slot + box.size > self.slots:
                raise ValueError(f"box {box.label!r} lies outside {len(self.gpus)} GPUs of {self.slots} memory slices")
        return self


Exhibit = Table | Gantt | Lines | Cdf | Heatmap | SliceMap
"""Any exhibit."""

EXHIBIT: TypeAdapter[Exhibit] = TypeAdapter(Annotated[Exhibit, Field(discriminator="kind")])
"""Validates parsed JSON into an exhibit."""

_KINDS = ("table", "curve", "cdf", "gantt", "slices", "steps", "heatmap")


def by_section(exhibits: list[Exhibit]) -> list[tuple[str, list[Exhibit]]]:
    """Exhibits grouped by section: sections that hold a table first, within a section tables before charts."""
    groups: dict[str, list[Exhibit]] = {}
    for exhibit in exhibits:
        groups.setdefault(exhibit.section, []).append(exhibit)
    for group in groups.values():
        group.sort(key=lambda exhibit: (_KINDS.index(exhibit.kind), natural(exhibit.id)))
    return sorted(groups.items(), key=lambda item: (_KINDS.index(item[1][0].kind), natural(item[0])))
