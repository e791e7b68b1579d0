"""Random walks: queues, cohorts and workloads change in a seeded, random course; at its end the books must be right.

Each walk is judged by all that the referee knows: charges, counts, gauges, who holds quota, and that nobody waits who
fits or may preempt. They are acted out where `--kueue-walk SEED` asks for them; a seed
replays its walks. There is no shrinking.
"""

from __future__ import annotations

from gpuassay import MUST, Note, behaviour, scenario
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.walker import Walker
from gpuassay.systems.kueue.judge import invariants
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.objects.walks import walk
from gpuassay.systems.kueue.options import CHOSEN, WALKS
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/overview/"
STEPS, MANY_STEPS = 40, 400

SEED = Note("walk_seed", int, "from which the walk is made")
REFUSED = Note("walk_refused", list[str], "steps that the API server refused, or that found nothing to act on")


def _walk(lab: KueueLab, seed: int) -> None:
    chosen = (CHOSEN.walk or 0) + seed
    way = walk(chosen, MANY_STEPS if lab.full else STEPS)
    lab.note(SEED, chosen)
    lab.note(notes.QUOTA_CHANGED, [lab.unique(name) for name in way.site.queues])
    walker = Walker(lab, way)
    walker.go()
    walker.rest()
    lab.note(REFUSED, walker.refused)


@scenario(needs={WALKS}, timeout=90)
def first_walk(lab: KueueLab) -> None:
    """A random walk."""
    _walk(lab, 0)


@scenario(needs={WALKS}, timeout=90)
def second_walk(lab: KueueLab) -> None:
    """Another random walk."""
    _walk(lab, 1)


@scenario(needs={WALKS}, timeout=90)
def third_walk(lab: KueueLab) -> None:
    """A third random walk."""
    _walk(lab, 2)


@scenario(needs={WALKS}, timeout=90)
def fourth_walk(lab: KueueLab) -> None:
    """A fourth random walk."""
    _walk(lab, 3)


def _judge(recording: KueueRecording) -> None:
    rest = Rest(recording)
    if not recording.at_rest or not rest.workloads:
        raise LookupError(f"the walk did not come to rest over anything: {recording.timeline_text()}")
    found = [*invariants.untimed(recording), *invariants.timed(recording)]
    assert found == [], f"seed {recording.note(SEED)}: " + "\n".join(found)


RED_WHEN = "after random edits a count, a charge or a gauge is wrong, or somebody waits who fits"


@behaviour("kueue.walks.first", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_the_first_walk(first_walk: KueueRecording) -> None:
    """After 40 random steps on random queues and cohorts all books are right and nobody waits who fits."""
    _judge(first_walk)


@behaviour("kueue.walks.second", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_the_second_walk(second_walk: KueueRecording) -> None:
    """After another 40 random steps all books are right and nobody waits who fits."""
    _judge(second_walk)


@behaviour("kueue.walks.third", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_the_third_walk(third_walk: KueueRecording) -> None:
    """After a third course of 40 random steps all books are right and nobody waits who fits."""
    _judge(third_walk)


@behaviour("kueue.walks.fourth", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_the_fourth_walk(fourth_walk: KueueRecording) -> None:
    """After a fourth course of 40 random steps all books are right and nobody waits who fits."""
    _judge(fourth_walk)
