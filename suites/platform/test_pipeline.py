"""The paper's pipeline: audio files through Kueue onto slices, transcripts to the gateway, summaries back."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean

import pytest

from gpuassay import MUST, SHOULD, Manifest, Measure, behaviour, dig, labels, scenario
from gpuassay.presence import must_have
from gpuassay.stats import thresholds
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.platform.pipeline import judge
from gpuassay.systems.platform.pipeline.model import audio_files, ends
from gpuassay.systems.platform.pipeline.notes import FILES, SCALE, SLOTS, STAND_INS, SUMMARIES, Transcript
from gpuassay.systems.platform.pipeline.summaries import STAND_IN, Summaries, summarised
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts.node import GPUS
from gpuassay.systems.slices.model.paper import LARGE, MEDIUM
from gpuassay.systems.slices.model.slices import SliceJob
from suites.platform.queued import QueuedSite, opened
from suites.slices.performance import jobs

pytestmark = pytest.mark.timeout(900)

PAPER = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): the pipeline"
SECTION = "The pipeline: audio, transcripts, summaries"
LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))

OFFERED = {MEDIUM: 2 * len(GPUS), LARGE: len(GPUS)}
"""What NVIDIA's geometry `all-balanced` makes of the GPUs."""
QUICK, FULL = (1 / 100, 6), (1 / 15, 16)
"""Time scale of run times, and files of each kind."""
SEED = 3
TRANSCRIBER = "transcription: a container that sleeps for the time of a file and computes a number: no audio, no model"
CERTAIN = 4
"""So many times the limit is no noise, however crowded the machine."""
DOT = "\n.\n"
"""Ends what a container says of its devices; the transcript follows."""


@scenario(
    system="platform", outside=True, timeout=300,
    needs={"program:nvidia-device-plugin", "program:llmd-epp", "program:llmd-sim"},
)  # fmt: skip
def pipeline(lab: KueueLab) -> None:
    """Twelve audio files are handed in at once; each transcript is sent to the gateway as soon as it is there."""
    scale, each = FULL if lab.full else QUICK
    files, products = audio_files(SEED, scale, each, (MEDIUM, LARGE))
    lab.note(STAND_INS, [TRANSCRIBER, STAND_IN])
    lab.note(SCALE, scale)
    with summarised(lab) as summaries, opened(lab, "device-plugin", wants=OFFERED) as on:
        lab.note(SLOTS, OFFERED)
        queue = on.queue("audio", {on.site.resource(profile): count for profile, count in OFFERED.items()})
        for one, product in zip(files, products, strict=True):
            lab.note_next(FILES, one)
            asked = SliceJob(one.name, one.profile, 0.0, one.run)
            steps = (("sleep", f"{one.run:.3f}s"), ("print", f"transcript of {one.name}"), ("add", product))
            made = jobs.manifest(on.site, asked, *steps, whole=False)
            made["metadata"]["labels"] = {labels.QUEUE_NAME: queue.local}
            lab.note_next(notes.JOBS, asked)
            lab.create(made)

        def through() -> bool:
            collect(on, summaries)
            complete = jobs.finished(on.site) == len(files)
            return complete and summaries.look() == 0 and len(summaries.pods) >= len(files)

        patience = 2 * max(ends(files, OFFERED, LIMITS.limit("pipeline_step_s")).values()) + 60
        lab.observe(through, "every file is transcribed and summarised", timeout=patience)


def collect(on: QueuedSite, summaries: Summaries) -> None:
    """Send the transcripts of all containers that have ended since."""
    for pod in on.lab.objects("Pod"):
        name, file = pod["metadata"]["name"], str(dig(pod, "metadata", "labels", jobs.JOB_NAME, default=""))
        if file and name not in summaries.pods and dig(pod, "status", "phase") == "Succeeded":
            summaries.send(Transcript(file, name, said(on, pod), time.time_ns()))


def said(on: QueuedSite, pod: Manifest) -> str:
    """What a container that has ended had written after the words about its devices."""
    place = f"/api/v1/namespaces/{on.lab.namespace}/pods/{pod['metadata']['name']}/log"
    return ("\n" + on.lab.api.raw(f"{place}?container=main")).partition(DOT)[2]


@behaviour(
    "platform.pipeline.nothing-lost", level=MUST, spec=PAPER,
    red_when="an audio file that was handed in never has a summary", mutant="audio-to-nowhere",
)  # fmt: skip
def test_every_file_has_a_summary(pipeline: PlatformRecording, measure: Measure) -> None:
    """Every audio file that is handed in comes out as a summary."""
    measure.value(files=len(pipeline.note(FILES)), summaries=len(pipeline.note(SUMMARIES)))
    must_have(pipeline.note(FILES), "audio files")
    assert judge.lost_findings(pipeline) == [], pipeline.timeline_text()[:6000]


@behaviour(
    "platform.pipeline.once", level=MUST, spec=PAPER,
    red_when="an audio file is transcribed and summarised twice", mutant="audio-read-twice",
)  # fmt: skip
def test_no_file_is_summarised_twice(pipeline: PlatformRecording) -> None:
    """No audio file has more than one summary, and there is none of anything else."""
    must_have(pipeline.note(SUMMARIES), "summaries")
    assert judge.doubled_findings(pipeline) == [], pipeline.timeline_text()[:6000]


@behaviour(
    "platform.pipeline.own-text", level=MUST, spec=PAPER,
    red_when="a transcript lacks what its container computed, or a summary is of another transcript",
    mutant="audio-misheard",
)  # fmt: skip
def test_every_summary_is_of_its_own_file(pipeline: PlatformRecording) -> None:
    """Each transcript holds the number that only its own container computed, and each summary that of its file."""
    must_have(pipeline.note(SUMMARIES), "summaries")
    assert judge.text_findings(pipeline) == []


@behaviour(
    "platform.pipeline.waits-for-slices", level=SHOULD, spec=PAPER,
    red_when="a file waits for quota although a slice of its kind is free", mutant="audio-quota-short",
)  # fmt: skip
def test_files_wait_for_nothing_but_slices(pipeline: PlatformRecording, measure: Measure) -> None:
    """A file waits for quota only while all slices of its kind are in use, or have been for up to 5 s."""
    step = LIMITS.limit("pipeline_step_s")
    measure.threshold(step)
    must_have(pipeline.note(SLOTS), "slices under quota")
    must_have([one for one in judge.courses(pipeline) if one.ended is not None], "files that were transcribed")
    found = judge.idle_findings(pipeline, step)
    if found and not judge.idle_findings(pipeline, CERTAIN * step):
        LIMITS.refuse_noise(pipeline)
    assert found == [], pipeline.timeline_text()[:6000]


@pytest.mark.perf
@behaviour(
    "platform.performance.pipeline-explained", level=SHOULD, spec=PAPER,
    red_when="a file takes longer than queueing, its run time and 5 s for each step explain", mutant="audio-slow",
)  # fmt: skip
def test_the_time_of_every_file_is_explained(pipeline: PlatformRecording, measure: Measure) -> None:
    """Each file's summary is there as soon as the model of its queue says, with 5 s for every hand-over and answer."""
    step = LIMITS.limit("pipeline_step_s")
    latest = {name: at + 2 * step for name, at in ends(pipeline.note(FILES), pipeline.note(SLOTS), step).items()}
    done = [one for one in judge.courses(pipeline) if one.answered is not None]
    must_have(done, "files that came through")
    show(pipeline, measure, latest)
    late = {
        one.file.name: f"{one.answered:.1f} s, model {latest[one.file.name]:.1f} s"
        for one in done if one.answered is not None and one.answered > latest[one.file.name]
    }  # fmt: skip
    if late and all((one.answered or 0.0) <= latest[one.file.name] + CERTAIN * step for one in done):
        LIMITS.refuse_noise(pipeline)
    assert late == {}


def show(recording: PlatformRecording, measure: Measure, latest: dict[str, float]) -> None:
    """Where files wait: a table of all, and the mean of each stage."""
    done = [(one, stages) for one in judge.courses(recording) if (stages := one.stages) is not None]
    means = {stage: fmean(stages[stage] for _, stages in done) for stage in judge.STAGES}
    whole = fmean(one.end_to_end or 0.0 for one, _ in done)
    measure.value(makespan_s=max(one.ended or 0.0 for one, _ in done), files=len(done))
    measure.value(end_to_end_s=whole, **{f"{stage}_s".replace("-", "_"): value for stage, value in means.items()})
    measure.exhibit(
        "pipeline",
        title="Every file from handing in to summary, in s",
        kind="table",
        columns=["file", "slice", *judge.STAGES, "end to end", "latest by the model"],
        rows=[
            [one.file.name, one.file.profile, *(round(stages[stage], 2) for stage in judge.STAGES),
             round(one.end_to_end or 0.0, 2), round(latest[one.file.name], 2)]
            for one, stages in done
        ] + [["mean", None, *(round(value, 2) for value in means.values()), round(whole, 2), None]],
        notes=[
            "quota: waits for Kueue. start: from quota to a running container. transcription: its run time. pick-up: "
            "until its transcript was sent. summary: the gateway's answer.",
            f"Run times of the paper's kind times {recording.note(SCALE):.3g}; no figure of the paper stands beside.",
            *(f"Stand-in: {one}." for one in recording.note(STAND_INS)),
        ],
        section=SECTION,
    )  # fmt: skip
