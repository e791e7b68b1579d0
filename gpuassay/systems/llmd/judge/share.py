"""What an endpoint picker says of its own part in TTFT, beside what a client sees it add."""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.record.metrics import Samples
from gpuassay.record.metrics import delta as summed
from gpuassay.systems.llmd.judge.intervals import Effect
from gpuassay.systems.llmd.judge.metrics import PICKER, delta, name_in


@dataclass(frozen=True)
class Share:
    """What a picker's histograms grew by between two scrapes.

    Attributes:
        requests: that its scheduler decided.
        scheduling: mean seconds of a decision (scorers and picker; not the reading of the body, nor tokenization).
        in_sight: mean seconds from a request's arrival at the picker to the end of its answer.
    """

    requests: int
    scheduling: float
    in_sight: float


def share(before: Samples, after: Samples) -> Share:
    """Read it from two scrapes of one picker; nothing but zeros of one that decided nothing, or exports no histogram.

    Raises:
        ValueError: it restarted in between.
    """
    try:
        count = delta(before, after, "scheduler_duration", PICKER)
    except LookupError:  # a series without observations may be absent
        count = 0
    if not count:
        return Share(0, 0.0, 0.0)
    return Share(round(count), _mean(before, after, "scheduler_duration"), _mean(before, after, "request_duration"))


def _mean(before: Samples, after: Samples, metric: str) -> float:
    name = name_in(after, metric, PICKER)
    count = delta(before, after, metric, PICKER)
    return summed(before, after, f"{name}_sum", {}) / count if count else 0.0


def share_findings(found: Share, asked: int, added: Effect) -> list[str]:
    """What does not fit together: every request is one decision, and no decision takes longer than the way through it.

    `added` is what the picker adds to the median TTFT, s; of its interval the upper end counts.
    """
    wrong: list[str] = []
    if found.requests != asked:
        wrong.append(f"{asked} requests were sent through the picker, its own histogram tells of {found.requests}")
    if found.scheduling > added.high:
        wrong.append(
            f"the picker says that a decision takes {found.scheduling * 1e3:.2f} ms on average, but the way through it"
            f" takes only {added.told('ms', 1e3)} longer"
        )
    return wrong
