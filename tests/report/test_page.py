"""The page: self-contained, balanced, escaped, and its numbers sum."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape

from gpuassay.report import write
from gpuassay.report.templates import state_css
from gpuassay.report.text import number
from gpuassay.verdict import State
from tests.report.synthetic import exhibits, many, run_json, six_states, verdict, write_recording, write_run

VOID = {"meta", "link", "br", "input", "hr", "img"}
LOADS = {"src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href"}

HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></details><h1>owned",
    "\"' onmouseover=alert(1) x='",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \x08",
    "\U0001f525 \u202egnp.exe \ud800",
    "x" * 100_000,
)


class Reader(HTMLParser):
    """Collects tags, text and what a browser would load; notes tags that do not balance."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in LOADS or (name == "href" and tag != "a"):
                self.loads.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


@pytest.fixture
def whole(tmp_path: Path) -> str:
    folder = write_run(tmp_path / "run", [*six_states(), *many()], exhibits=exhibits())
    write_recording(folder, "burst")
    return write(folder).page.read_text()


def test_the_page_is_balanced_and_loads_nothing(whole: str) -> None:
    reader = read(whole)
    assert reader.unbalanced == []
    assert reader.open == []
    assert reader.loads == ["data:,"]
    assert "url(" not in whole
    assert "@import" not in whole
    assert "default-src 'none'" in whole


def test_the_numbers_of_the_bar_sum_to_the_declared(whole: str) -> None:
    parts = re.findall(r'class="part [a-z-]+" style="flex-grow:(\d+)"', whole)
    declared = re.search(r"(\d+) behaviours declared = ([^.]*)\.", whole)
    assert declared
    assert sum(map(int, parts)) == int(declared[1]) == len(six_states()) + len(many())
    assert sum(map(int, re.findall(r"\d+", declared[2]))) == int(declared[1])


def test_every_behaviour_is_in_the_catalogue(whole: str) -> None:
    rows = re.findall(r'<tr data-state="([A-Z, -]+)">', whole)
    assert len(rows) == len(six_states()) + len(many())
    assert set(rows) == set(State)
    for behaviour in six_states():
        assert behaviour.behaviour in whole


def test_a_state_is_told_by_words_too(whole: str) -> None:
    for state in State:
        assert re.search(
            rf'<span class="badge {state_css(state)}"><span aria-hidden="true">.</span> {state}</span>', whole
        )


def test_each_kind_of_exhibit_is_drawn(whole: str) -> None:
    charts = [exhibit for exhibit in exhibits() if exhibit["kind"] != "table"]
    assert whole.count('class="chart"') == len(charts)
    assert whole.count("<desc>") == len(charts)
    for exhibit in exhibits():
        assert f"<figcaption>{escape(exhibit['title'])}</figcaption>" in whole


def test_a_table_aligns_its_columns_and_marks_states(tmp_path: Path) -> None:
    """Red when a gap among numbers stands elsewhere than they do, or a state in a table is told by its word alone."""
    table = {
        "id": "t", "title": "t", "kind": "table", "columns": ["arm", "mean", "state"],
        "rows": [["a", None, "PASS"], ["b", 2, None], ["c", 1, "SKIP"]],
    }  # fmt: skip
    page = write(write_run(tmp_path / "run", six_states(), exhibits=[table])).page.read_text()
    body = page[page.index('id="exhibit-t"') :]
    body = body[: body.index("</table>")]
    assert re.findall(r'class="num">([^<]*)<', body) == ["mean", number(None), "2", "1"]
    assert body.count('<span class="badge pass">') == body.count('<span class="badge skip">') == 1


def test_what_is_emulated_stands_before_the_findings_and_in_full(whole: str) -> None:
    assert whole.index("Not real in this run") < whole.index('<section id="findings">')
    assert "No GPU exists. Quota and order are Kueue&#39;s own" in whole


def test_150_behaviours_with_long_reasons_and_20_exhibits_stay_below_2_mb(tmp_path: Path) -> None:
    verdicts = [verdict(f"kueue.order.b{i}", State.FAIL, reason=f"{i} " + "<&>" * 40_000) for i in range(150)]
    shown = [exhibit | {"id": f"{exhibit['id']}-{i}"} for i in range(3) for exhibit in exhibits()]
    written = write(write_run(tmp_path / "run", verdicts, exhibits=shown))
    assert len(shown) >= 20
    assert written.page.stat().st_size < 2_000_000
    assert written.summary.stat().st_size <= 1_048_576


def test_a_usual_run_is_below_2_mb(whole: str) -> None:
    assert len(whole.encode()) < 1_000_000


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_never_obeyed(words: str, tmp_path: Path) -> None:
    bad = verdict(
        "kueue.order.hostile",
        State.FAIL,
        title=words,
        reason=words,
        red_when=words,
        spec="javascript:alert(1)",
        link="data:text/html,<script>alert(1)</script>",
        measured={words: words},
        mutant=words,
        recordings=[words],
    )
    shown = exhibits()
    for exhibit in shown:
        exhibit["title"] = exhibit["section"] = words[:400]
    shown[0]["rows"] = [[words] * 6]
    shown[4]["lanes"] = [{"label": words, "bars": [{"start": 0, "end": 1, "label": words[:300], "class": words[:300]}]}]
    emulated = [{"what": words, "by": words, "means": words}]
    folder = write_run(
        tmp_path / "run", [bad], run=run_json(emulated=emulated, mutant=words, command=[words]), exhibits=shown
    )
    written = write(folder)
    page = written.page.read_text(encoding="utf-8")
    reader = read(page)
    assert reader.unbalanced == []
    assert reader.tags.count("script") == 1
    assert reader.tags.count("h1") == 1
    assert reader.handlers == []
    assert reader.loads == ["data:,"]
    assert not [link for link in reader.links if link.startswith(("javascript:", "data:"))]
    for text in (page, written.summary.read_text(encoding="utf-8")):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert len(page) < 2_000_000


@pytest.mark.parametrize("states", [[], [State.SKIP] * 3])
def test_a_run_that_showed_nothing_says_no_verdict(states: list[State], tmp_path: Path) -> None:
    verdicts = [verdict(f"kueue.order.b{i}", state, reason="needs a GPU") for i, state in enumerate(states)]
    written = write(write_run(tmp_path / "run", verdicts))
    assert not written.accounting.green
    for text in (written.page.read_text(), written.summary.read_text()):
        assert "No verdict" in text
        assert "Fit as tested" not in text
    assert read(written.page.read_text()).unbalanced == []
