"""What the pipeline's scenario hands to its judges."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuassay.record.notes import Note


class AudioFile(msgspec.Struct, frozen=True):
    """A file as it was handed in.

    Attributes:
        name: of the file, and of its Job.
        profile: the slice that its transcription asks for.
        run: seconds that the transcription takes.
        product: what its container has to compute on the way; nothing but a container that ran knows it.
    """

    name: str
    profile: str
    run: float
    product: int


class Transcript(msgspec.Struct, frozen=True):
    """What the container of a Job that has ended had written.

    Attributes:
        file: by the Job's name.
        pod: its name.
        text: as it stands in the log.
        read_ns: when it was read (ns since the epoch).
    """

    file: str
    pod: str
    text: str
    read_ns: int


class Summary(msgspec.Struct, frozen=True):
    """An answer of the gateway, or that there was none.

    Attributes:
        file: whose transcript was sent.
        pod: which wrote it.
        text: of the summary; "" where there is none.
        sent_ns, answered_ns: ns since the epoch.
        error: why there is none, in one line.
    """

    file: str
    pod: str
    text: str
    sent_ns: int
    answered_ns: int
    error: str = ""


FILES = Note("audio_files", list[AudioFile], "the files in the order in which they were handed in")
SLOTS = Note("slots", Mapping[str, int], "quota of the queue: slices of each profile")
SCALE = Note("pipeline_scale", float, "by what the paper's run times are multiplied")
TRANSCRIPTS = Note("transcripts", list[Transcript], "what containers wrote", default=[])
SUMMARIES = Note("summaries", list[Summary], "what the gateway answered, in that order", default=[])
STAND_INS = Note("stand_ins", list[str], "what of the pipeline is no real model, for people")
