"""The gateway's end of the pipeline: an arm with stand-ins for models, asked for a summary of every transcript."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from gpuassay.cluster.errors import ClusterError
from gpuassay.load.session import GatewaySession
from gpuassay.manifest import dig
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.llmd.acts.deployment import standing
from gpuassay.systems.llmd.component.simulator import Latency, completion
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.platform.pipeline.notes import SUMMARIES, TRANSCRIPTS, Summary, Transcript

REPLICAS = 2
AT_ONCE = 4
"""Requests at a time."""
MOST_TOKENS = 512
SECONDS = 60.0
"""For one summary."""
STAND_IN = (
    f"model servers: {REPLICAS} simulators of llm-d that give back the transcript as its summary, with simulated times"
)


class Summaries:
    """Sends transcripts to the gateway as they come; what it answers is noted.

    Attributes:
        pods: whose transcripts were sent.
    """

    def __init__(self, lab: Lab, url: str, model: str, workers: ThreadPoolExecutor) -> None:
        """Used by `summarised`."""
        self._lab, self._url, self._model, self._workers = lab, url, model, workers
        self._session = GatewaySession()
        self._asked: list[Future[Summary]] = []
        self._noted = 0
        self.pods: set[str] = set()

    def send(self, transcript: Transcript) -> None:
        """Have it summarised."""
        self.pods.add(transcript.pod)
        self._lab.note_next(TRANSCRIPTS, transcript)
        self._asked.append(self._workers.submit(self._ask, transcript))

    def _ask(self, one: Transcript) -> Summary:
        sent = time.time_ns()
        text = error = ""
        try:
            answer, _ = completion(
                self._session, self._url, self._model, f"Summarise this call\n{one.text}", MOST_TOKENS, SECONDS
            )
            text = str(dig(answer, "choices", 0, "text", default=""))
        except ClusterError as refused:
            error = str(refused)
        return Summary(one.file, one.pod, text, sent, time.time_ns(), error)

    def look(self) -> int:
        """Note the answers that are there, in the order of the questions; how many are still to come."""
        while self._noted < len(self._asked) and self._asked[self._noted].done():
            self._lab.note_next(SUMMARIES, self._asked[self._noted].result())
            self._noted += 1
        return len(self._asked) - self._noted


@contextmanager
def summarised(lab: Lab) -> Generator[Summaries]:
    """A gateway with model servers behind it for the length of a `with` block.

    Raises:
        ClusterError: a program of it does not start.
    """
    arm = Arm(
        profile="random", replicas=REPLICAS, latency=Latency(), labels=lab.marks, simulator_flags=("--mode", "echo")
    )
    built = lab.mutant.change_arm(arm) if lab.mutant is not None else arm
    folder = lab.cluster.directory / "arms" / lab.token
    with (
        standing(lab.cluster, folder, f"{lab.namespace}-gateway", built) as up,
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="summary") as workers,
    ):
        yield Summaries(lab, up.url, up.model, workers)
