"""Charts and numbers: what is drawn is what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.report import gantt, heatmap, lines, svg
from gpuassay.report.exhibits import EXHIBIT, Gantt, Heatmap, Lines, by_section
from gpuassay.report.text import clean, clip, column, natural, number, one_line, seconds
from tests.report.synthetic import exhibits

REAL = st.floats(-1e12, 1e12)


def chart(**changes: object) -> Gantt:
    lanes = [{"label": "GPU 0", "bars": [{"start": 0, "end": 50, "label": "job-1", "class": "large"}]}]
    found = EXHIBIT.validate_python({"id": "g", "title": "t", "kind": "gantt", "lanes": lanes} | changes)
    assert isinstance(found, Gantt)
    return found


def rectangles(drawing: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(drawing)
    return [one.attrib for one in root.iter("rect") if one.find("title") is not None]


def test_a_bar_is_as_wide_as_its_time_and_labelled_when_it_has_room() -> None:
    drawing = gantt.draw(chart(), end=100)
    (bar,) = rectangles(drawing)
    plot = svg.WIDTH - 24 - float(bar["x"])
    assert float(bar["width"]) == pytest.approx(plot / 2 - 1, abs=0.2)
    assert bar["class"] == "bar large"
    assert ">job-1</text>" in drawing
    narrow = [{"label": "g", "bars": [{"start": 0, "end": 1, "label": "job-1", "class": "none such"}]}]
    drawing = gantt.draw(chart(lanes=narrow), end=100)
    assert ">job-1</text>" not in drawing
    assert rectangles(drawing)[0]["class"] == "bar other"


def test_bars_that_overlap_in_a_lane_are_drawn_below_each_other() -> None:
    bars = [{"start": 0, "end": 10}, {"start": 5, "end": 12}, {"start": 10, "end": 11}]
    tops = [bar["y"] for bar in rectangles(gantt.draw(chart(lanes=[{"label": "g", "bars": bars}])))]
    assert len(set(tops)) == 2
    assert len(tops) == 3


def test_gantt_charts_of_one_section_share_their_time_axis() -> None:
    ends = {
        float(label.replace(",", ""))
        for exhibit in exhibits()
        if exhibit["kind"] == "gantt"
        for label in re.findall(r'class="tick"[^>]*>([\d,.]+)</text>', gantt.draw(chart(**exhibit), end=200))[-1:]
    }
    assert len(ends) == 1


@given(st.lists(st.tuples(REAL, REAL), max_size=30), st.sampled_from(["steps", "curve"]))
def test_any_finite_points_give_a_drawing_inside_its_canvas(points: list[tuple[float, float]], kind: str) -> None:
    found = EXHIBIT.validate_python(
        {"id": "c", "title": "t", "kind": kind, "x": "x", "y": "y", "series": [{"label": "<s>", "points": points}]}
    )
    assert isinstance(found, Lines)
    root = ElementTree.fromstring(lines.draw(found))
    height = float(root.attrib["viewBox"].split()[3])
    for one in root.iter("circle"):
        assert -0.1 <= float(one.attrib["cx"]) <= svg.WIDTH + 0.1
        assert -0.1 <= float(one.attrib["cy"]) <= height + 0.1


@given(st.lists(REAL, min_size=1, max_size=50))
def test_a_distribution_ends_at_all_and_quantiles_are_values_that_were_seen(values: list[float]) -> None:
    steps = lines.distribution(values)
    assert steps[0] == (min(values), 0.0)
    assert steps[-1] == (max(values), 100.0)
    for share in (0.01, 0.5, 0.99, 1.0):
        found = lines.quantile(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values)


def test_quantiles_of_one_to_hundred() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [lines.quantile(values, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]


def test_thinning_keeps_first_last_and_every_spike() -> None:
    points = [(float(x), 0.0) for x in range(50_000)]
    points[31_234] = (31_234.0, 9.0)
    kept = lines.thin(points, step=True)
    assert len(kept) <= 4 * 480
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert (31_234.0, 9.0) in kept


def test_no_data_is_said_in_the_chart() -> None:
    found = EXHIBIT.validate_python({"id": "c", "title": "t", "kind": "steps", "series": []})
    assert isinstance(found, Lines)
    assert ">no data</text>" in lines.draw(found)


@given(REAL, REAL, st.integers(1, 12))
def test_ticks_are_few_ordered_and_inside(a: float, b: float, wanted: int) -> None:
    low, high = svg.reach([a, b])
    found = svg.ticks(low, high, wanted)
    slack = (high - low) * 1e-6
    assert found == sorted(found)
    assert 1 <= len(found) <= 2.5 * wanted + 2
    assert all(low - slack <= value <= high + slack for value in found)


def test_sections_with_tables_come_first_and_numbers_sort_as_numbers() -> None:
    found = [EXHIBIT.validate_python(exhibit) for exhibit in exhibits()]
    assert by_section(found)[0][0] == "Table 3: five queue configurations"
    assert sorted(["t-10", "t-9", "s"], key=natural) == ["s", "t-9", "t-10"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "\u2013"),
        (True, "yes"),
        (12345, "12,345"),
        (1.0, "1"),
        (0.123456, "0.1235"),
        (12345.678, "12,345.7"),
        (float("nan"), "nan"),
        ("x", "x"),
    ],
)
def test_numbers_as_a_person_reads_them(value: object, words: str) -> None:
    assert number(value) == words


def test_a_column_shares_its_decimals() -> None:
    assert column([1.0, 1.05, 1.1, None, "n/a", 3]) == ["1.00", "1.05", "1.10", "\u2013", "n/a", "3"]
    assert column([512.25, 15000.0]) == ["512", "15,000"]
    assert column([0.00123, 0.5]) == ["0.0012", "0.5000"]


def test_text_is_cut_in_the_middle_and_says_so() -> None:
    words = clip("a" * 500 + "z" * 500, 300)
    assert words.startswith("a" * 200)
    assert words.endswith("z" * 100)
    assert "700 characters left out" in words
    assert one_line("\n\n  first \t line \nsecond") == "first line"
    assert len(one_line("x" * 1000, 50)) == 50


@given(st.text())
def test_cleaned_text_is_safe_for_terminal_and_xml(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", cleaned)
    assert clean(cleaned) == cleaned


def test_times() -> None:
    assert [seconds(value) for value in (0.424, 12.34, 59.99, 245, 7380)] == [
        "0.42 s",
        "12.3 s",
        "60.0 s",
        "4 min 05 s",
        "2 h 03 min",
    ]


def curve(**changes: object) -> Lines:
    base = {
        "id": "c",
        "title": "t",
        "kind": "curve",
        "series": [{"label": "a", "points": [[1, 1], [10, 10], [100, 100]]}],
    }
    found = EXHIBIT.validate_python(base | changes)
    assert isinstance(found, Lines)
    return found


def test_a_logarithmic_axis_gives_equal_room_to_equal_ratios() -> None:
    dots = [one.attrib for one in ElementTree.fromstring(lines.draw(curve(log="xy"))).iter("circle")]
    across = [float(one["cx"]) for one in dots]
    down = [float(one["cy"]) for one in dots]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert down[0] - down[1] == pytest.approx(down[1] - down[2], abs=0.2)


def test_what_is_not_above_zero_is_not_drawn_on_a_logarithmic_axis() -> None:
    series = [{"label": "a", "points": [[0, 1], [1, 0], [2, 2]]}]
    dots = list(ElementTree.fromstring(lines.draw(curve(log="xy", series=series))).iter("circle"))
    assert len(dots) == 1


def test_an_interval_is_a_line_through_its_point() -> None:
    series = [{"label": "a", "points": [[1, 5]], "intervals": [[4, 8]]}]
    drawing = ElementTree.fromstring(lines.draw(curve(series=series)))
    (dot,) = drawing.iter("circle")
    (whisker,) = [one for one in drawing.iter("line") if "whisker" in one.attrib.get("class", "")]
    assert float(whisker.attrib["y2"]) < float(dot.attrib["cy"]) < float(whisker.attrib["y1"])


@given(st.lists(st.lists(st.floats(0, 1e12), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_heatmap_is_darkest_where_its_value_is_greatest(values: list[list[float]]) -> None:
    rows = [f"prompt {number}" for number in range(len(values))]
    chart = EXHIBIT.validate_python(
        {"id": "h", "title": "t", "kind": "heatmap", "rows": rows, "columns": ["a", "b", "c"], "values": values}
    )
    assert isinstance(chart, Heatmap)
    shades = {
        float(one.find("title").text.split(": ")[1].replace(",", "")): one.attrib["class"]  # pyright: ignore
        for one in ElementTree.fromstring(heatmap.draw(chart)).iter("rect")
    }
    if shades and max(shades) > 0:
        assert shades[max(shades)] == "heat h5"
