"""Claims that no scheduler can serve: it says so, lives, and serves others."""

from __future__ import annotations

from gpuassay import MUST, Lab, behaviour, known_defect, scenario
from gpuassay.gpus import gpu_model
from gpuassay.presence import must_have
from gpuassay.systems.slices.acts import counters, hostile
from gpuassay.systems.slices.acts.hostile import ALIVE, CANARY
from gpuassay.systems.slices.acts.node import start_scheduler
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.model.paper import GPU_MODEL
from gpuassay.systems.slices.readings import SlicesRecording

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
A100 = gpu_model(GPU_MODEL)


@scenario(needs=counters.NEEDS, timeout=60)
def odd_claims(lab: Lab) -> None:
    """Claims for too many devices, of no class, by what no device has; and one as anybody's."""
    with counters.published(lab, [A100]) as site:
        taken = [
            name for name, ones in hostile.requests(site.device_class).items() if hostile.ask(lab, site, name, ones)
        ]
        lab.observe(lambda: all(hostile.told(lab, name) for name in taken), "the scheduler has looked at all")
        hostile.observe_canary(lab, site)
        lab.note(ALIVE, lab.cluster.supervisor.processes["kube-scheduler"].alive)
        lab.mark("asked")
        site.finish()


@behaviour(
    "slices.hostile.odd-claims", level=MUST, spec=CLAIMS,
    red_when="a claim that cannot be satisfied is served, kills the scheduler, or keeps others from being served",
    mutant="pod-claims-lost",
)  # fmt: skip
def test_odd_claims_hurt_nobody(odd_claims: SlicesRecording) -> None:
    """Pods whose claims cannot be satisfied wait, the scheduler goes on, and an ordinary pod is served."""
    timeline, at = odd_claims.timeline_text(), odd_claims.mark("asked")
    names = hostile.requests("").keys()
    taken = must_have([name for name in names if odd_claims.attempt(name).accepted], "odd claims that are accepted")
    placed = [name for name in taken if judged.on_a_node(odd_claims.timelines("Pod")[name].as_of(at) or {})]
    assert placed == [], f"expected no pod of an odd claim to have a node, seen {placed}\n{timeline}"
    assert CANARY in judged.held(odd_claims, at), f"expected the canary to be served\n{timeline}"
    assert odd_claims.note(ALIVE), "expected the scheduler to live"


@scenario(needs=counters.NEEDS | {"control-plane"}, timeout=60, alone="cluster")
def huge_claim(lab: Lab) -> None:
    """A claim whose requests have no sum of 64 bits; and one as anybody's. The scheduler is started anew afterwards."""
    scheduler = lab.cluster.supervisor.processes["kube-scheduler"]
    with counters.published(lab, [A100]) as site:
        scheduler.may_die()
        hostile.ask(lab, site, "huge", hostile.huge(site.device_class))
        lab.observe(lambda: hostile.told(lab, "huge") or not scheduler.alive, "the scheduler has looked at it")
        hostile.observe_canary(lab, site)
        lab.note(ALIVE, scheduler.alive)
        lab.delete("Pod", "huge")
        lab.delete("ResourceClaim", "huge")
        scheduler.kill()
        start_scheduler(lab)
        site.finish()


@known_defect(
    "https://github.com/kubernetes/kubernetes/issues/141323",
    "the sum of the requested devices overflows, and the scheduler panics: who may create claims and pods can end it",
    shows="expected the scheduler to outlive a huge claim",
)
@behaviour(
    "slices.hostile.huge-claim", level=MUST, spec=CLAIMS,
    red_when="a claim for more devices than there can be ends the scheduler, or keeps others from being served",
)  # fmt: skip
def test_a_huge_claim_hurts_nobody(huge_claim: SlicesRecording) -> None:
    """The scheduler outlives a claim of two requests for 2^62 devices each, and serves others."""
    assert "huge" in huge_claim.timelines("Pod"), huge_claim.timeline_text()
    assert huge_claim.note(ALIVE), f"expected the scheduler to outlive a huge claim\n{huge_claim.timeline_text()}"
    assert huge_claim.observed("the canary is served"), huge_claim.timeline_text()
