"""The first screen: fit for what, what was refuted and what to do, what was not tested, the paper beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.report import load, terminal_ending, write
from gpuassay.report.decision import MOST, decision
from gpuassay.report.defects import by_component
from gpuassay.report.exhibits import EXHIBIT, Table
from gpuassay.report.multiples import pairs, small_multiples
from gpuassay.report.remedies import remedies, remedy
from gpuassay.verdict import State, Verdict
from tests.report.synthetic import exhibits, run_json, six_states, verdict, write_run

RUN = "python -m pytest suites"
ISSUE = "https://github.com/owner/project/issues/12"
SOURCE = "https://github.com/owner/project/blob/v1/pkg/server.go"
RAW = "assert ['job-b passed job-a, which was the head'] == []\n  \n  Left contains one more item: 'x'\n  Use -v"


def known(name: str, link: str, what: str) -> Verdict:
    return verdict(name, State.KNOWN_DEFECT, reason=f"{what} ({link})", link=link)


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ("programs are not built yet: python -m gpuassay build kubelet runc", "python -m gpuassay build kubelet runc"),
        ("the cluster lacks: epp (python -m gpuassay build epp)", "python -m gpuassay build epp"),
        ("istio is not built yet: `gpuassay build istio` takes at most about 5 min", "python -m gpuassay build istio"),
        ("the cluster lacks: program:das (supplied by you: --asset das=DIR with x)", f"{RUN} -k das --asset das=DIR"),
        ("the cluster lacks: vllm (get_vllm DIR, then --asset vllm=DIR)", f"{RUN} -k vllm --asset vllm=DIR"),
        ("the cluster lacks: gpu-operator (elsewhere: --cluster existing -k x)", f"{RUN} --cluster existing -k x"),
        ("not part of the replayed run: scenario kueue.walks.first_walk", "python -m pytest suites"),
        ("from outside: the picker's own metrics are not at hand", "python -m pytest suites"),
        ("a picker that looks at no prompt (--gateway-profile)", "python -m pytest suites --gateway-profile"),
        ("no gateway controller has written a status", ""),
    ],
)  # fmt: skip
def test_a_skip_has_its_command(reason: str, command: str) -> None:
    """Red when a reader who wants a behaviour tested is not told what to type."""
    assert remedy(reason)[1] == command


def test_what_has_to_be_built_is_one_command() -> None:
    """Red when 147 skips that want a build are 147 lines."""
    reasons = [
        "the cluster lacks: a (python -m gpuassay build a b)",
        "c is not built yet: `gpuassay build c`",
        "no idea",
    ]
    found = remedies([verdict(f"kueue.order.b{i}", State.SKIP, reason=reason) for i, reason in enumerate(reasons)])
    assert [(len(one.verdicts), one.command) for one in found] == [(2, "python -m gpuassay build a b c"), (1, "")]


def test_known_defects_are_folded_by_component_and_issue() -> None:
    """Red when each known defect has a card of its own, or one is lost."""
    verdicts = [
        known("kueue.a.one", ISSUE, "it is slow"), known("kueue.a.two", ISSUE, "it is slow"),
        known("kueue.a.three", SOURCE, "it forgets"), known("kueue.a.four", "https://docs.example/x", "other"),
    ]  # fmt: skip
    first, second = by_component(verdicts)
    assert (first.name, first.count, [one.label for one in first.issues]) == (
        "owner/project",
        3,
        ["issue 12", "server.go"],
    )
    assert first.issues[0].what == "it is slow"
    assert (second.name, second.count) == ("docs.example", 1)


def test_each_system_has_its_own_word(tmp_path: Path) -> None:
    """Red when one system that is refuted, or was not tested, hides behind others that held."""
    verdicts = [
        verdict("kueue.a.one"), verdict("llmd.a.one", State.FAIL, reason="expected 1, seen 2"),
        verdict("slices.a.one", State.SKIP), verdict("platform.a.one", State.ERROR),
        verdict("mine.a.one", State.INCONCLUSIVE),
    ]  # fmt: skip
    fits = {one.name: one.word for one in decision(load(write_run(tmp_path / "run", verdicts))).fits}
    assert fits == {
        "kueue v0.19.2": "fit as tested", "llmd": "not fit", "slices": "not tested", "platform": "no verdict",
        "mine": "no verdict",
    }  # fmt: skip


def test_a_refutation_is_a_sentence_with_what_to_do_next(tmp_path: Path) -> None:
    """Red when the first screen shows pytest's rendering, or leaves the reader alone with it."""
    red = [verdict(state=State.FAIL, reason=RAW), verdict("kueue.order.b", State.ERROR, reason="kueue died")]
    found = decision(load(write_run(tmp_path / "run", red)))
    assert found.refuted[0].sentence == "job-b passed job-a, which was the head"
    assert found.refuted[0].command.endswith("test_burst --replay reports/runs/2026-01-02T03-04-05-abcd")
    assert "says nothing of the system" in found.refuted[1].advice
    broken = load(write_run(tmp_path / "mutant", red[:1], run=run_json(mutant="swap")))
    assert "broken on purpose" in decision(broken).refuted[0].advice


def test_the_sentence_is_the_same_in_every_outlet(tmp_path: Path) -> None:
    """Red when page, summary, terminal or junit.xml tell a refutation in other words, or begin with the rendering."""
    folder = write_run(tmp_path / "run", [verdict(state=State.FAIL, reason=RAW)], run=run_json(ended=None, declared=1))
    written = write(folder)
    texts = [written.page.read_text(), written.summary.read_text(), "\n".join(terminal_ending(folder))]
    for text in [*texts, (folder / "junit.xml").read_text()]:
        assert "job-b passed job-a, which was the head" in text
    assert 'message="job-b passed' in (folder / "junit.xml").read_text()
    page = texts[0]
    assert (
        page.index('<p class="sentence">job-b passed')
        < page.index("What was seen, and the assertion")
        < page.index("<pre>")
    )


def test_the_first_screen_stands_before_all_else_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    """Red when a reader has to scroll past cards to know whether it is fit, or refutations vanish."""
    table = {
        "id": "t", "section": "Table 4: x", "title": "t", "kind": "table", "columns": ["a", "ratio", "paper"],
        "rows": [["b", 1.0, 2.0]],
    }  # fmt: skip
    many = [verdict(f"kueue.order.b{i:02}", State.FAIL, reason="expected 1, seen 2") for i in range(MOST + 3)]
    page = write(write_run(tmp_path / "run", [*many, *six_states()], exhibits=[*exhibits(), table])).page.read_text()
    order = ["Fit for what", "<h2>Refuted", "<h2>Not tested</h2>", "Beside the paper", "Not real in this run"]
    order += ['id="findings"', 'id="defects"', 'id="untested"', 'id="section-1"', 'id="catalogue"']
    places = [page.index(one) for one in order]
    assert places == sorted(places)
    assert ">5 more</a>" in page


def test_small_pictures_put_ours_beside_the_papers() -> None:
    """Red when a number of ours stands beside another row's of the paper, or a gap is drawn as a number."""
    columns = ["configuration", "ratio", "net ratio", "paper"]
    rows = [["fifo", 1.2, 1.0, 1.1], ["again", 1.3, 1.2, None]]
    table = Table(id="t", title="t", kind="table", columns=columns, rows=rows, section="Table 3: x")
    assert pairs(table) == ("net ratio", [("fifo", 1.0, 1.1)])
    sources = [
        ["whole", "live, net", 2.0],
        ["whole", "live, gross", 3.0],
        ["whole", "paper", 1.0],
        ["cut", "live", 1.0],
    ]
    other = Table(
        id="u", title="u", kind="table", columns=["GPUs", "source", "mean"], rows=sources, section="Tables 5 and 6"
    )
    assert pairs(other) == ("mean", [("whole", 2.0, 1.0)])
    plain = Table(id="v", title="v", kind="table", columns=["a"], rows=[["b"]], section="Table 4")
    made = small_multiples([table, other, plain])
    assert [one.link for one in made] == ["t", "u"]
    assert "fifo 1, paper 1.1" in made[0].picture


def test_small_pictures_are_the_papers_alone_and_few() -> None:
    """Red when every chart of the run crowds onto the first screen."""
    shown = [EXHIBIT.validate_python(one | {"id": f"{one['id']}-{i}"}) for i in range(9) for one in exhibits()]
    assert small_multiples(shown) == []
    papers = [one.model_copy(update={"section": "Figure 5: x"}) for one in shown]
    assert 0 < len(small_multiples(papers)) <= 3
