"""Judges of the pipeline: nothing is lost, nothing doubled, every summary is of its own file, and where files wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.platform.judge import pods_of
from gpuassay.systems.platform.pipeline.notes import FILES, SLOTS, SUMMARIES, TRANSCRIPTS, AudioFile
from gpuassay.systems.platform.readings import PlatformRecording

STAGES = ("quota", "start", "transcription", "pick-up", "summary")
"""What a file goes through: it waits for Kueue, for a slice and its container, is transcribed, read, and summarised."""


def line_of(file: AudioFile) -> str:
    """What stands in a file's transcript and in no other's."""
    return f"sum={file.product}"


# --- nothing lost, nothing doubled, nothing mixed up -----------------------------------------------------------------


def lost_findings(recording: PlatformRecording) -> list[str]:
    """Files without a summary, and how far they came."""
    counted = _counted(recording)
    return [f"{one.name}: {_lost(recording, one.name)}" for one in recording.note(FILES) if not counted[one.name]]


def doubled_findings(recording: PlatformRecording) -> list[str]:
    """Files with several summaries, and summaries of nothing that was handed in."""
    counted, files = _counted(recording), {one.name for one in recording.note(FILES)}
    found = [f"{name}: {count} summaries" for name, count in sorted(counted.items()) if count > 1]
    return found + [f"{name}: summarised, and was never handed in" for name in sorted(counted.keys() - files)]


def _counted(recording: PlatformRecording) -> Counter[str]:
    return Counter(one.file for one in recording.note(SUMMARIES) if not one.error)


def _lost(recording: PlatformRecording, name: str) -> str:
    errors = [one.error for one in recording.note(SUMMARIES) if one.file == name]
    if errors:
        return f"no summary, the gateway: {errors[0]}"
    if any(one.file == name for one in recording.note(TRANSCRIPTS)):
        return "no summary although there is a transcript"
    pods = pods_of(recording, name)
    return f"no summary, its pod is {_phase(pods[-1].final)}" if pods else "no summary, it never got a pod"


def text_findings(recording: PlatformRecording) -> list[str]:
    """Transcripts that are not of their file, and summaries that are not of their transcript."""
    files = {one.name: one for one in recording.note(FILES)}
    found: list[str] = []
    for one in recording.note(TRANSCRIPTS):
        file = files.get(one.file)
        if file is not None and line_of(file) not in one.text.split():
            found.append(f"{one.file}: its transcript lacks what its container had to compute")
    for one in recording.note(SUMMARIES):
        file = files.get(one.file)
        if file is not None and not one.error and str(file.product) not in one.text:
            found.append(f"{one.file}: the summary is of another text")
    return found


# --- where files wait ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """A file's way, in s since the first file was handed in; None where it never came so far.

    Attributes:
        file: the file.
        created: its Job was seen.
        admitted: Kueue gave it quota.
        started: its container runs.
        ended: it has succeeded.
        sent: its transcript went to the gateway.
        answered: its summary was there.
    """

    file: AudioFile
    created: float
    admitted: float | None
    started: float | None
    ended: float | None
    sent: float | None
    answered: float | None

    @property
    def stages(self) -> dict[str, float] | None:
        """Seconds of each of `STAGES`; None of a file that did not come through."""
        at = (self.created, self.admitted, self.started, self.ended, self.sent, self.answered)
        told = [one for one in at if one is not None]
        if len(told) < len(at):
            return None
        return {stage: after - before for stage, before, after in zip(STAGES, told[:-1], told[1:], strict=True)}

    @property
    def end_to_end(self) -> float | None:
        """From handing in to summary."""
        return None if self.answered is None else self.answered - self.created


def courses(recording: PlatformRecording) -> list[Course]:
    """Every file's way, in the order in which they were handed in; files whose Job was never seen are left out."""
    jobs = recording.timelines("Job")
    created = {one.name: jobs[one.name].events[0].at for one in recording.note(FILES) if one.name in jobs}
    origin = min(created.values(), default=0)

    def since(at: int | None) -> float | None:
        return None if at is None else (at - origin) / 1e9

    summaries = {one.file: one for one in reversed(recording.note(SUMMARIES)) if not one.error}
    found: list[Course] = []
    for file in recording.note(FILES):
        if file.name not in created:
            continue
        pods, summary = pods_of(recording, file.name), summaries.get(file.name)
        found.append(
            Course(
                file,
                created=(created[file.name] - origin) / 1e9,
                admitted=since(_admitted(recording, file.name)),
                started=since(_first(pods, "Running")),
                ended=since(_first(pods, "Succeeded")),
                sent=since(summary.sent_ns if summary else None),
                answered=since(summary.answered_ns if summary else None),
            )
        )
    return found


def _phase(pod: Manifest) -> str:
    return str(dig(pod, "status", "phase", default="Pending"))


def _first(pods: list[Timeline], phase: str) -> int | None:
    found = [at for pod in pods if (at := pod.when(lambda obj: _phase(obj) == phase)) is not None]
    return min(found, default=None)


def _admitted(recording: PlatformRecording, job: str) -> int | None:
    try:
        workload = recording.workload_of(job)
    except LookupError:
        return None
    return workload.when(lambda obj: is_true(obj, "Admitted"))


def idle_findings(recording: PlatformRecording, grace: float) -> list[str]:
    """Files that wait for quota although a slice of their kind has been free for longer than `grace` seconds."""
    slots: Mapping[str, int] = recording.note(SLOTS)
    every = courses(recording)
    found: list[str] = []
    for profile, count in sorted(slots.items()):
        mine = [one for one in every if one.file.profile == profile]
        never = float("inf")
        held = [
            (one.admitted, (never if one.ended is None else one.ended) + grace)
            for one in mine if one.admitted is not None
        ]  # fmt: skip
        for one in mine:
            until = never if one.admitted is None else one.admitted
            moments = sorted({one.created + grace, *(end for _, end in held if one.created + grace < end < until)})
            free = [at for at in moments if at < until and sum(begin <= at < end for begin, end in held) < count]
            if free:
                waits = "is never admitted" if one.admitted is None else f"is admitted after {one.admitted:.1f} s"
                found.append(f"{one.file.name} {waits}, and a {profile} is free from {free[0]:.1f} s on")
    return found
