"""Hostile objects: values at and beyond the borders of every field, created and as changes, and what came of them.

The values come from the schemas that the API server itself publishes, so fields of a newer Kueue are tried without
being named here. Every run sends a sample, the same each time; `--full` sends all.
"""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Note, behaviour, known_defect, scenario
from gpuassay.hostile import answers as hostile
from gpuassay.hostile.answers import OFFERED, TRIED, Tried
from gpuassay.hostile.sending import sample
from gpuassay.presence import must_have
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.hostile import Attacker, all_cases
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.options import WALKS
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md"
SAMPLE = 320
TIME = "nodeTaints.0.timeAdded"
CANARIES = Note("canaries", dict[str, bool], "whether each healthy piece of work was admitted after the attack")


@scenario(needs={WALKS, "cluster-wide-configuration"}, timeout=100)
def attacked(lab: KueueLab) -> None:
    """Hostile values in every kind of object, created and as changes; afterwards healthy work comes."""
    lab.note(notes.EXPECTED_ERRORS, [".*"])  # what is hostile may be logged; panics are looked for apart
    lab.note(notes.EDITED_IN_USE, True)
    before = lab.queue(1000, base="before")
    cases = all_cases(lab)
    lab.note(OFFERED, len(cases))
    attacker = Attacker(lab)
    attacker.go(cases if lab.full else sample(cases, SAMPLE, 1))
    attacker.jobs(before.local)
    lab.observe(lambda: not lab.objects("Job"), "the Jobs are gone", timeout=10)
    after = lab.queue(4, base="after")
    names = [byhand.workload(lab, f"canary-{one.local}", one, distinct=True) for one in (before, after)]
    lab.observe_admitted(*names)
    lab.note(CANARIES, {name: lab.has("Admitted", name) for name in names})


@behaviour(
    "kueue.hostile.answered", level=MUST, spec=SPEC, mutant="validation-crashes",
    red_when="a malformed or extreme object or change gets a 5xx or no answer, or Kueue panics",
)  # fmt: skip
def test_every_hostile_request_is_answered(attacked: KueueRecording) -> None:
    """Every malformed or extreme object and change is accepted or refused with a 4xx, and Kueue never panics."""
    tried = must_have(attacked.note(TRIED), "hostile requests", least=100)
    found = [*hostile.unanswered(tried), *hostile.panics(attacked.kueue_log)]
    assert not found, f"{len(found)} of {len(tried)} requests:\n" + "\n".join(found)


@behaviour(
    "kueue.hostile.names-the-field", level=SHOULD, spec=SPEC, mutant="validation-mute",
    red_when="a refusal does not say which field is at fault",
)  # fmt: skip
def test_every_refusal_names_the_field(attacked: KueueRecording) -> None:
    """Every refusal of a malformed or extreme value names the field at fault."""
    tried = must_have(_refused(attacked), "refusals", least=20)
    found = hostile.unnamed(one for one in tried if not one.field.endswith(TIME))
    assert not found, f"{len(found)} of {len(tried)} refusals:\n" + "\n".join(found)


@known_defect(
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/webhooks/resourceflavor_webhook.go",
    "the webhook decodes the whole object and says what it could not parse, not where",
    shows="parsing time",
)
@behaviour(
    "kueue.hostile.names-a-bad-time", level=SHOULD, spec=SPEC,
    red_when="the refusal of a taint's invalid time does not name it",
)  # fmt: skip
def test_the_refusal_of_a_bad_time_names_the_field(attacked: KueueRecording) -> None:
    """The refusal of a ResourceFlavor whose taint has an invalid `timeAdded` names that field."""
    tried = must_have([one for one in _refused(attacked) if one.field.endswith(TIME)], "refusals of a time")
    found = hostile.unnamed(tried)
    assert not found, "\n".join(found)


def _refused(recording: KueueRecording) -> list[Tried]:
    return [one for one in recording.note(TRIED) if 400 <= one.status < 500]


@behaviour(
    "kueue.hostile.healthy-goes-on", level=MUST, spec=SPEC, mutant="admission-off",
    red_when="after malformed objects a valid one is refused, or a workload is not admitted",
)  # fmt: skip
def test_healthy_work_goes_on(attacked: KueueRecording) -> None:
    """Beside and after malformed objects valid ones are accepted, and workloads are admitted in every queue."""
    tried = must_have(attacked.note(TRIED), "requests", least=100)
    found = hostile.broken(tried)
    assert not found, "\n".join(found)
    assert attacked.note(CANARIES) == {"canary-before": True, "canary-after": True}, attacked.timeline_text()
