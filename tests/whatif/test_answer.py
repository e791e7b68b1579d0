"""From events of Workloads to figures, and from figures to what is told."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from gpuassay.record.timeline import EventLine
from gpuassay.systems.kueue.model.figures import Attempt, JobRun
from gpuassay.systems.kueue.whatif import figures, observed
from gpuassay.systems.kueue.whatif.asked import fitting, handed, too_large
from gpuassay.systems.kueue.whatif.page import write
from gpuassay.systems.kueue.whatif.predicted import predict
from gpuassay.systems.kueue.whatif.result import Answer, Side, caveats, duration, total_rows, wait_rows
from gpuassay.systems.kueue.whatif.setup import Setup, from_file
from tests.whatif.files import FLAVOR, job, queue, written

S = 1_000_000_000


def event(at: float, name: str, *conditions: str) -> EventLine:
    obj = {
        "metadata": {"name": name, "uid": f"u-{name}", "creationTimestamp": "1970-01-01T00:00:07Z"},
        "status": {"conditions": [{"type": one, "status": "True"} for one in conditions]},
    }
    return EventLine(int(at * S), "MODIFIED", "Workload", json.dumps({"object": obj}))


def test_attempts_begin_with_admission_and_end_with_quota() -> None:
    held = ("QuotaReserved", "Admitted")
    seen = observed.lives([
        event(1, "a"), event(2, "a", *held), event(5, "a", *held, "Evicted"), event(5.1, "a", "Evicted"),
        event(6, "a", *held), event(9, "a", *held, "Finished"), event(9.5, "a", *held, "Finished"), event(1, "b"),
    ])  # fmt: skip
    assert seen["a"].attempts == (Attempt(2, 5, killed=True), Attempt(6, 9))
    assert seen["b"].attempts == ()
    assert (seen["a"].second, seen["a"].uid, seen["a"].created) == (7, "u-a", 1)


def small(folder: Path) -> Setup:
    return from_file(written(folder, FLAVOR, queue("q", 2)))


def test_times_of_a_play_are_told_in_the_users_time(tmp_path: Path) -> None:
    jobs = handed(small(tmp_path), [job("x"), job("y")], tmp_path)
    seen = {
        "job-1": observed.Seen("u", 10.0, 10, (Attempt(11, 12),)), "job-2": observed.Seen("v", 10.5, 10, ()),
    }  # fmt: skip
    first, second = observed.runs(jobs, seen, {"x": "job-1", "y": "job-2"}, 60)
    assert (first.created, first.attempts) == (0, (Attempt(60, 120),))
    assert (second.created, second.attempts) == (30, ())


def runs(*ends: tuple[float, float, float]) -> list[JobRun]:
    return [JobRun(f"j{n}", "", "q", at, (Attempt(start, end),)) for n, (at, start, end) in enumerate(ends)]


def test_totals_of_two_jobs_and_one_that_never_starts() -> None:
    found = figures.totals([*runs((0, 0, 3600), (0, 3600, 7200)), JobRun("never", "", "q", 0.0)], 1)
    assert (found.finished, found.never, found.makespan, found.wait_mean) == (2, 1, 7200, 1800)
    assert found.utilisation == 1
    assert found.idle == 0


def side(label: str, played: Sequence[JobRun], twin: Sequence[JobRun] | str, echo: float | None = 1.0) -> Side:
    return Side(label, 1, played, twin, echo)


def answer(*sides: Side, speed: float = 60.0, median: float = 3600.0) -> Answer:
    return Answer(sides, speed, 0.0, 2, median, "v0", 1.0)


def test_two_configurations_stand_side_by_side_with_what_changes() -> None:
    slow, fast = runs((0, 0, 100), (0, 100, 200)), runs((0, 0, 100), (0, 0, 100))
    columns, rows = total_rows(answer(side("a", slow, slow), side("b", fast, fast)))
    assert columns == [
        "", "a: twin", "a: Kueue, accelerated", "b: twin", "b: Kueue, accelerated", "change (twin)",
        "change (Kueue, accelerated)",
    ]  # fmt: skip
    makespan = next(row for row in rows if row[0] == "makespan")
    assert makespan[1:] == ["3:20", "3:20", "1:40", "1:40", "-50.0 %", "-50.0 %"]
    _, waits = wait_rows(answer(side("a", slow, "reasons")), "queue")
    assert waits == [["a", "Kueue, accelerated", "q", "2", "50 s", "1:35", "1:40", "0", "0"]]


def test_a_twin_that_does_not_follow_kueue_is_not_to_be_trusted() -> None:
    some = runs((0, 0, 100))
    assert any("Do not trust the twin" in one for one in caveats(answer(side("a", some, some, 1.3))))
    assert any("knows these queues" in one for one in caveats(answer(side("a", some, some, 1.02))))
    assert any("there is no twin, for two flavors" in one for one in caveats(answer(side("a", some, "two flavors"))))
    assert any("give --minutes more" in one for one in caveats(answer(side("a", some, some), median=60)))


def test_jobs_that_never_fit_are_named_beforehand(tmp_path: Path) -> None:
    setup = small(tmp_path)
    jobs = [job("fits", gpus=2), job("huge", gpus=3)]
    assert too_large(setup, handed(setup, jobs, tmp_path), Path("jobs.csv")) == [
        "jobs.csv line 2: huge asks for 3, q can have 2 at most, so it is never admitted"
    ]


def test_the_twin_plays_each_tree_of_queues(tmp_path: Path) -> None:
    setup = from_file(written(tmp_path, FLAVOR, queue("q", 1), queue("p", 1)))
    jobs = [job("a"), job("b"), job("c", "p")]
    found = predict(setup, handed(setup, jobs, tmp_path))
    assert not isinstance(found, str)
    assert [run.attempts[0].start > 50 for run in found] == [False, True, False]


def test_the_speed_fits_the_time_that_is_given() -> None:
    jobs = [job("a", seconds=8000)]
    assert fitting(jobs, ["no twin"], [1], 100) == 8000 * 1.5 / 80
    assert fitting(jobs, [runs((0, 0, 8000))], [1], 100) == 100
    assert fitting([job("a", seconds=5)], ["no twin"], [1], 100) == 1


def test_files_hold_every_job_and_no_markup_of_the_users(tmp_path: Path) -> None:
    hostile = [JobRun("<script>", "", "q", 0.0, (Attempt(0, 1, killed=True), Attempt(2, 3)))]
    made = write(answer(side("<b>", hostile, hostile)), tmp_path / "out")
    page, table, document = (one.read_text() for one in made)
    assert "<script>" not in page
    assert "<b>" not in page
    assert [row["preempted"] for row in csv.DictReader(io.StringIO(table))] == ["1", "1"]
    assert json.loads(document)["configurations"][0]["said_by"][1]["totals"]["preempted"] == 1


def test_durations_are_read_at_first_sight() -> None:
    assert [duration(one) for one in (None, 4.0, 725.0, 11525.0)] == ["-", "4 s", "12:05", "3:12:05"]
