"""What the report shows of Tables 5 and 6: tables beside the paper's, slice maps, occupancy and fragmentation."""

from __future__ import annotations

from collections.abc import Mapping

from gpuassay import Manifest, Measure
from gpuassay.systems.slices.judge import course as slices_course
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.judge import times as slices_times
from gpuassay.systems.slices.judge.times import Times
from gpuassay.systems.slices.model import predict as slices_predict
from gpuassay.systems.slices.model.paper import TABLE_5, TABLE_6, CompletionTimes
from gpuassay.systems.slices.notes import SLICER
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.performance import figures, tables

SECTION = "Tables 5 and 6: jobs on slices of GPUs"
MODELLED = "Placement real, execution modelled"
"""Stands at everything whose times are those of modelled jobs."""

PAPER = {"t5": {one.configuration: one for one in TABLE_5}, "t6": {one.configuration: one for one in TABLE_6}}
PAPERS_NAME = {"t5": {"whole": "whole GPUs", "dynamic": "slices"}, "t6": {"whole": "whole GPUs"}}
"""What the paper calls an arm, where it is not what we call it."""


def show(arms: Mapping[str, SlicesRecording], measure: Measure) -> None:
    """Write all exhibits."""
    first = next(iter(arms.values()))
    scale = first.note(tables.SCALE)
    assert scale is not None, f"{first.name} is no arm of Tables 5 and 6"
    for table, number in (("t6", 6), ("t5", 5)):
        _table(arms, measure, table, number, scale)
    _latencies(arms, measure)
    shown = {name: figures.rounds(arms, "t6", name)[0] for name in tables.WAYS if figures.rounds(arms, "t6", name)}
    for name, arm in shown.items():
        slice_map(arm, measure, f"slices-map-{name}", f"Slice map: 32 jobs on {tables.WAYS[name].title}. {MODELLED}")
    _curves(shown, measure)


def _minutes(times: Times, scale: float) -> list[float | None]:
    one = times.completion
    values = (one.mean, one.median, one.p95, one.deviation, times.makespan)
    return [times.peak, *(round(value / scale / 60, 1) for value in values)]


def _of(row: CompletionTimes) -> list[float | None]:
    values = (row.mean, row.median, row.p95, row.deviation, row.makespan)
    return [row.peak, *(None if value is None else round(value, 1) for value in values)]


def _middle(found: list[Times]) -> Times:
    """The round whose mean is the median one."""
    return sorted(found, key=lambda one: one.completion.mean)[len(found) // 2]


def _table(arms: Mapping[str, SlicesRecording], measure: Measure, table: str, number: int, scale: float) -> None:
    predicted = {
        one.configuration: one for one in (slices_predict.table_6() if number == 6 else slices_predict.table_5())
    }
    rows: dict[tuple[str, str], list[float | None]] = {}
    for way, declared in tables.WAYS.items():
        found = figures.rounds(arms, table, way)
        if not found:
            continue
        net, gross = _middle([figures.net_of(one) for one in found]), _middle([figures.gross_of(one) for one in found])
        rows[way, "live, net"] = _minutes(net, scale)
        rows[way, "live, gross"] = _minutes(gross, scale)
        rows[way, "twin, same run times"] = _minutes(_middle([*figures.expected_of(found[0]).runs]), scale)
        rows[way, "twin, 30 draws"] = _of(predicted[declared.title])
        paper = PAPER[table].get(PAPERS_NAME[table].get(way, declared.title))
        if paper is not None:
            rows[way, "paper"] = _of(paper)
    rounds = len(figures.rounds(arms, table, "dynamic"))
    jobs = 2 * tables.TABLES[table][0]
    columns = ["GPUs", "source", "peak", "mean", "median", "P95", "SD", "makespan"]
    measure.exhibit(
        f"table-{number}",
        title=f"Table {number}: {jobs} jobs, completion times in minutes. {MODELLED}",
        kind="table",
        columns=columns,
        rows=[[tables.WAYS[way].title, source, *values] for (way, source), values in rows.items()],
        notes=[
            "Placement is real: kube-scheduler, kubelet, NVIDIA's device plugin and DRA driver, on 8 fake A100-40GB.",
            "Execution is modelled: a job sleeps for the run time that a calibrated model gives, times"
            f" {_share(scale)}. Times are told at the paper's scale.",
            f"{rounds} round{'s' * (rounds > 1)}; one job every {tables.SPACING:g} s (the paper: every second, at full"
            " scale); two kinds of GPUs play side by side.",
            "Gross: creation to Complete, divided by the scale, with Kubernetes' own seconds, which do not shrink and"
            " so weigh too much. Net: the same jobs on the same slots in the same order, had Kubernetes taken no time.",
            "Slices slow a job down by factors that are fitted to the paper, not measured. The paper's jobs had other"
            " audio files: compare ratios, not minutes.",
        ],
        section=SECTION,
    )
    measure.exhibit(
        f"table-{number}-ratios",
        title=f"Table {number} as ratios: {jobs} jobs on slices over the same on whole GPUs. {MODELLED}",
        kind="table",
        columns=columns,
        rows=[
            [tables.WAYS[way].title, source, *map(_ratio, values, rows["whole", source])]
            for (way, source), values in rows.items()
            if way != "whole" and ("whole", source) in rows
        ],
        notes=["Peak: above 1, more jobs run at once. Times: below 1, slices are faster. The paper's are rounded."],
        section=SECTION,
    )


def _ratio(one: float | None, base: float | None) -> float | None:
    return None if one is None or not base else round(one / base, 2)


def _share(scale: float) -> str:
    return f"1/{1 / scale:.0f}"


def _latencies(arms: Mapping[str, SlicesRecording], measure: Measure) -> None:
    rows: list[list[object]] = []
    for arm in arms.values():
        took = slices_times.latencies(judged.stays(arm), judged.models(arm))
        steps = (took.decide, took.start, took.complete, took.hand_over)
        title = tables.WAYS[arm.note(tables.WAY)].title
        played = f"Table {arm.note(tables.TABLE).removeprefix('t')}, {title}, round {arm.note(tables.ROUND)}"
        rows.append([played, *(None if one is None else round(one, 2) for one in steps), round(figures.stall(arm), 2)])
    measure.exhibit(
        "tables-latencies",
        title="What Kubernetes itself takes, medians in seconds, not scaled",
        kind="table",
        columns=[
            "played",
            "created to bound",
            "bound to running",
            "ended to Complete",
            "ended to next bound",
            "CPU stall",
        ],
        rows=rows,
        notes=["Taken out of the net times. CPU stall: share of time in which work waited for a CPU."],
        section=SECTION,
    )


def slice_map(
    arm: SlicesRecording, measure: Measure, id: str, title: str, notes: tuple[str, ...] = (), *, section: str = SECTION
) -> None:
    """The slice map of one recording; where its run times have a scale, the axis says so."""
    gpus, moments = judged.models(arm), slices_course.course(arm)
    seen = [one.ended for one in judged.stays(arm) if one.ended is not None]
    end = max([*seen, *(one.at for one in moments)])
    boxes = _pods(arm, end) if arm.note(SLICER) != "dra" else []
    for place, made, gone, job in slices_course.slice_boxes(arm):
        size = len(judged.slots(place, gpus))
        beforehand = arm.note(SLICER) != "dra"
        look = "cut" if beforehand else "leak" if gone is None else job.split("-")[0] or "other"
        label = place.profile if beforehand else f"{job or place.profile}"
        boxes.append(
            _box(place.gpu, place.start, size, max(0.0, made), end if gone is None else max(gone, 0.0), label, look)
        )
    boxes += [
        _box(one.slot[0], one.slot[1], 1, max(0.0, one.start), max(one.end, 0.0), "", "padding")
        for one in slices_course.spans(moments, end)
    ]
    measure.exhibit(
        id,
        title=title,
        kind="slices",
        gpus=[f"GPU {index}" for index in range(len(gpus))],
        slots=max(model.memory_slices for model in gpus),
        boxes=boxes,
        notes=[
            "A row is a memory slice, a box a job's slice from its making to its destruction, as the silicon tells; of"
            " slices cut beforehand and whole GPUs, from the pod's binding, or the end of the pod before it there, to"
            " its end. Grey: free, but no waiting job's profile could stand there. Shades only tell neighbours apart.",
            *notes,
        ],
        unit=_unit(arm),
        section=section,
    )


def _unit(arm: SlicesRecording) -> str:
    scale = arm.note(tables.SCALE)
    return "s" if scale is None else f"s, run times x {_share(scale)}"


def _pods(arm: SlicesRecording, end: float) -> list[Manifest]:
    gpus, found = judged.models(arm), list[Manifest]()
    for one in slices_course.holds(arm):
        size, over = len(judged.slots(one.place, gpus)), end if one.end is None else one.end
        found.append(_box(one.place.gpu, one.place.start, size, one.start, over, one.job, one.job.split("-")[0]))
    return found


def _box(gpu: int, slot: int, size: int, start: float, end: float, label: str, look: str) -> Manifest:
    return {
        "gpu": gpu, "slot": slot, "size": size, "start": round(start, 3), "end": round(max(start, end), 3),
        "label": label, "class": look,
    }  # fmt: skip


def _curves(shown: Mapping[str, SlicesRecording], measure: Measure) -> None:
    moments = {name: slices_course.course(arm) for name, arm in shown.items()}
    unit = _unit(next(iter(shown.values())))
    _steps(
        measure, "occupancy", "Occupancy: memory slices given to jobs, of 64", unit,
        {name: [(one.at, len(one.taken)) for one in course] for name, course in moments.items()},
    )  # fmt: skip
    _steps(
        measure, "fragmentation", "Fragmentation: free memory slices of no use to any job", unit,
        {name: [(one.at, len(one.unplaceable)) for one in course] for name, course in moments.items()},
    )  # fmt: skip


def _steps(measure: Measure, id: str, title: str, unit: str, courses: Mapping[str, list[tuple[float, int]]]) -> None:
    measure.exhibit(
        f"slices-{id}",
        title=f"{title}. {MODELLED}",
        kind="steps",
        series=[
            {"label": tables.WAYS[name].title, "points": [[round(max(0.0, at), 3), count] for at, count in course]}
            for name, course in courses.items()
        ],
        x=f"time in {unit}",
        y="memory slices",
        notes=["A job on a whole GPU is given all of its 8 memory slices, whatever it needs."],
        section=SECTION,
    )
