"""What DAS needs in order to work: its RuntimeClass, its webhook, a ready GPU Operator; and what happens without.

ClusterPolicy, by which the GPU Operator says that it is ready, is a stub. These scenarios change what the whole cluster
has, so each has it to itself.
"""

from __future__ import annotations

from typing import cast

from gpuassay import MUST, Lab, behaviour, dig, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.das import DasSite
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.das_known import DAS, DAS_PROGRAM

SMALL = "1g.5gb"


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60, alone="cluster")
def das_refusals(lab: Lab) -> None:
    """Pods are created while the RuntimeClass is missing, while the webhook is dead, and after each is back."""
    with slicing.opened(lab, "das") as opened:
        site = cast("DasSite", opened)
        with site.runtime_class_missing():
            site.attempt_any("without-class", SMALL)
        site.das.webhook.child.kill()
        site.attempt_any("without-webhook", SMALL)
        site.attempt_any("plain-without-webhook")
        site.das.webhook.start()
        site.attempt_any("again", SMALL)
        site.observe_running("again")
        site.finish()


@behaviour(
    "slices.das.runtime-class-missing", level=MUST, spec=f"{DAS}/pull/966",
    red_when="a pod is accepted without its RuntimeClass, or refused without a message that names the class",
    mutant="request-lost",
)  # fmt: skip
def test_das_pods_are_refused_without_the_runtime_class(das_refusals: SlicesRecording) -> None:
    """Without DAS's RuntimeClass a pod that asks for a slice is refused with 403, and the message names the class."""
    attempt = das_refusals.attempt("without-class")
    assert not attempt.accepted
    assert attempt.status == 403
    assert 'RuntimeClass "nvidia-legacy" not found' in attempt.message


@behaviour(
    "slices.das.webhook-down", level=MUST, spec=DAS,
    red_when="a pod that asks for a slice gets past a dead webhook unchanged", mutant="webhook-optional",
)  # fmt: skip
def test_das_pods_are_refused_without_the_webhook(das_refusals: SlicesRecording) -> None:
    """While the webhook is dead every creation of a pod is refused with 500 and a message that names the webhook."""
    for label in ("without-webhook", "plain-without-webhook"):
        attempt = das_refusals.attempt(label)
        assert not attempt.accepted, label
        assert attempt.status == 500
        assert "failed calling webhook" in attempt.message


@behaviour(
    "slices.das.webhook-back", level=MUST, spec=DAS,
    red_when="pods are still refused, or do not run, once the webhook is back", mutant="held-back",
)  # fmt: skip
def test_das_pods_run_once_the_webhook_is_back(das_refusals: SlicesRecording) -> None:
    """Once the webhook is back, the next pod is accepted and runs."""
    assert das_refusals.attempt("again").accepted
    assert "again" in slices_seen.ran(das_refusals), das_refusals.timeline_text()


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=60, alone="cluster")
def das_policy(lab: Lab) -> None:
    """DAS is started while ClusterPolicy is notReady; later ClusterPolicy becomes ready."""
    with slicing.opened(lab, "das") as opened:
        site = cast("DasSite", opened)
        site.part.stop()
        site.observe_withdrawn()
        site.policy("notReady")
        try:
            lab.mark("started")
            site.part.start()
            lab.observe(site.das.waits_for_policy, "the daemonset waits for the policy")
            lab.mark("policy-ready")
        finally:
            site.policy("ready")
        lab.observe(site.offers_all, "the node offers all slices once the policy is ready")
        site.finish()


@behaviour(
    "slices.das.policy-gates", level=MUST, spec=f"{DAS}/pull/787",
    red_when="DAS offers slices although ClusterPolicy is not ready, or offers none once it is",
    mutant="policy-always-ready",
)  # fmt: skip
def test_das_waits_for_the_gpu_operator(das_policy: SlicesRecording) -> None:
    """The DAS daemonset offers no slices until ClusterPolicy is ready, and all of them after that."""
    assert das_policy.observed("the node offers all slices once the policy is ready")
    back, ready = das_policy.mark("started"), das_policy.mark("policy-ready")
    name = das_policy.note(notes.NODE)
    offers = [
        event.at
        for event in das_policy.timelines("Node")[name].events
        if back < event.at < ready and int(dig(event.object, "status", "allocatable", default={}).get(RESOURCE, 0))
    ]
    assert offers == [], das_policy.timeline_text()


RESOURCE = f"mig.das.com/{SMALL}"
