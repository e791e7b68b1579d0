"""EPP core: what a picker must be allowed to do at the API server, and what it does where a right is missing.

Pickers of arms have the cluster's admin identity. Here each has a ServiceAccount of its own with the Role that
upstream's manifests give it, or with all of that but one right.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from gpuassay import MUST, SHOULD, Measure, Note, behaviour
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import asking, gauge, health
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component import rbac as rights
from gpuassay.systems.llmd.component.picker import Picker
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.epp_requests import small
from suites.llmd.epps import per_epp

CHART = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.5.0/config/charts/epplib/templates"
RBAC = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"
WATCH = "https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes"

UNREADABLE = ("pods", "inferencepools", "inferenceobjectives", "inferencemodelrewrites")
"""What a picker reads; each is taken away from one picker."""
UNWATCHED = "pods-unwatched"
"""The picker that may list Pods and not watch them."""
ENOUGH = "documented"
"""The picker with all that upstream's manifests give."""
LATE = 20.0
"""Seconds until a picker that may only list sees a change: client-go lists again after 0.8 s, and then after twice as
long each time."""


HEALTH = Note("health", dict[str, str], "what the picker's health service says, by the right that it lacks")
ENDED = Note("ended", list[str], "rights without which a picker ended")
REFUSED = Note("refused", dict[str, bool], "whether a picker's log says that something is forbidden")
LEFT_AFTER = Note("left_after", float, "until a Pod that is unready has left, in s; none: it has not", default=None)
SAID = Note("said", dict[str, bool], "whether a picker says which right it lacks")


def _candidate(site: Deployment, name: str, rules: list[rights.Rule]) -> Picker:
    """A picker of the arm's pool with an identity that has just these rights; not started."""
    first, lab, namespace = site.routing.picker, site.lab, site.routing.namespace
    assert first is not None
    for made in rights.objects(name, namespace, rules):
        lab.create(made)
    return first.sibling_as(name)


def _refused(picker: Picker, resource: str, verb: str) -> bool:
    """Whether its log says that it may not do this."""
    lines, _ = picker.log_lines()
    said = [str(line.get("error", line)) for line in lines]
    return any("is forbidden" in line and f'cannot {verb} resource "{resource}"' in line for line in said)


@per_epp(timeout=40)
def allowed(lab: RoutingLab, picker: str) -> None:
    """Endpoint pickers that each lack one RBAC right of upstream's Role; one with the full Role starts last."""
    with opened(lab, small(picker, replicas=2, profile="random")) as site, ExitStack() as stack:
        first = site.routing.picker
        assert first is not None
        full = rights.documented(first.implementation, lab.cluster.assets)
        rules = {resource: rights.without(full, resource) for resource in UNREADABLE}
        rules |= {UNWATCHED: rights.without(full, "pods", ("watch",)), ENOUGH: full}
        pickers: dict[str, Picker] = {}
        for name, own in rules.items():
            if name == ENOUGH:
                _see_refusals(lab, pickers)
            pickers[name] = one = _candidate(site, name, own)
            stack.callback(one.kill)
            one.launch()
        last = pickers[ENOUGH]
        lab.observe(lambda: health(lab, last) == "SERVING" and gauge(lab, last) == 2, "the last one serves", timeout=8)
        for name, one in pickers.items():
            with asking(site, one) as epp:
                epp.ask(name, epp.body("hello"), timeout=2)
        lab.note(HEALTH, {name: health(lab, one) for name, one in pickers.items()})
        lab.note(ENDED, [name for name, one in pickers.items() if not one.child.alive])
        lab.note(REFUSED, {name: "is forbidden" in one.child.log_text() for name, one in pickers.items()})
        leaver = site.replicas[0]
        with asking(site, pickers[UNWATCHED]) as epp:

            def left() -> bool:
                answer = epp.ask("after-a-pod-left", epp.body("hello"), subset=[leaver.endpoint], timeout=1)
                return answer.destination != leaver.endpoint

            epp.ask("before-a-pod-left", epp.body("hello"), subset=[leaver.endpoint])
            site.routing.endpoints.set_ready(leaver.name, ready=False)
            began = time.monotonic()
            seen = lab.observe(left, "the Pod has left", timeout=LATE)
            lab.note(LEFT_AFTER, round(time.monotonic() - began, 3) if seen else None)


def _see_refusals(lab: RoutingLab, pickers: dict[str, Picker]) -> None:
    """Notes which pickers say what they may not do."""
    said: dict[str, bool] = {}
    for name, one in pickers.items():
        resource, verb = ("pods", "watch") if name == UNWATCHED else (name, "list")
        said[name] = lab.observe(
            lambda one=one, resource=resource, verb=verb: _refused(one, resource, verb),
            f"the picker without {name} says so", timeout=6,
        )  # fmt: skip
    lab.note(SAID, said)


@behaviour(
    "llmd.epp-rights.documented-suffice", level=MUST, spec=CHART, mutant="rights-pods-lost", timed=True,
    red_when="an EPP that was installed as documented never serves, or is forbidden something that it requests",
)  # fmt: skip
def test_the_documented_rights_suffice(allowed: RoutingRecording) -> None:
    """With upstream's Role an EPP reports SERVING, finds its endpoints, picks, and is forbidden nothing."""
    assert allowed.observed("the last one serves")
    assert allowed.note(HEALTH)[ENOUGH] == "SERVING"
    assert not allowed.note(REFUSED)[ENOUGH]
    assert not judge.picked_findings(allowed.calls(ENOUGH))


@behaviour(
    "llmd.epp-rights.lack-is-said", level=MUST, spec=RBAC, mutant="rights-too-wide", timed=True,
    red_when="an EPP that lacks an RBAC right does not log which one",
)  # fmt: skip
def test_a_picker_says_which_right_it_lacks(allowed: RoutingRecording) -> None:
    """An EPP that lacks an RBAC right logs the resource and the verb, for each kind that it reads."""
    assert allowed.note(SAID) == dict.fromkeys((*UNREADABLE, UNWATCHED), True)


@behaviour(
    "llmd.epp-rights.lack-is-not-healthy", level=MUST, spec=RBAC, mutant="rights-too-wide", timed=True,
    red_when="an EPP that cannot read Pods, InferencePool, objectives or rewrites exits, reports SERVING, or picks",
)  # fmt: skip
def test_a_picker_that_cannot_read_is_not_healthy(allowed: RoutingRecording) -> None:
    """Without the right to read one of four kinds an EPP keeps running, is NOT_SERVING, and refuses with 503."""
    assert {name: allowed.note(HEALTH)[name] for name in UNREADABLE} == dict.fromkeys(UNREADABLE, "NOT_SERVING")
    assert allowed.note(ENDED) == []
    assert [row.status for name in UNREADABLE for row in allowed.calls(name)] == [503] * len(UNREADABLE)


@behaviour(
    "llmd.epp-rights.unwatched-is-late", level=SHOULD, spec=WATCH, mutant="epp-forgets-nothing", timed=True,
    red_when="an EPP that may list but not watch Pods never notices that one has become unready",
)  # fmt: skip
def test_a_picker_that_cannot_watch_lists_again(allowed: RoutingRecording, measure: Measure) -> None:
    """An EPP that may list but not watch Pods picks, and within 20 s stops picking a Pod that became unready."""
    measure.value(left_after_s=allowed.note(LEFT_AFTER))
    measure.threshold(LATE)
    assert not judge.picked_findings(allowed.calls("before-a-pod-left"))
    assert allowed.note(LEFT_AFTER) is not None
