"""Scheduling by request: sessions, rewritten models, objectives, shedding, flow control, and endpoints gone silent."""

from __future__ import annotations

import base64
import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import requests

from gpuassay import MUST, SHOULD, Note, behaviour, known_defect, scenario
from gpuassay.load.headers import POD
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import FAKE, only, pick, place, read_again, reconfigure, report
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.component.extproc import ExternalProcessing
from gpuassay.systems.llmd.component.metrics import total
from gpuassay.systems.llmd.component.profiles import Change
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import only_findings, reached_findings, refused_findings
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/pkg/epp"
SESSIONS = "https://github.com/llm-d/llm-d-inference-scheduler/blob/v0.7.1/pkg/plugins/scorer/session_affinity.go"
OBJECTIVES = "https://gateway-api-inference-extension.sigs.k8s.io/api-types/inferenceobjective/"
REWRITES = "https://gateway-api-inference-extension.sigs.k8s.io/api-types/inferencemodelrewrite/"

OBJECTIVE_HEADER = "x-gateway-inference-objective"
SESSION_HEADER = "x-session-token"
NAMES = [f"model-server-{i}" for i in range(3)]
PICKS = 12
SPREAD = 60
NO_CACHE = Cache(blocks=0)


ANSWER_HEADERS = Note("answer_headers", dict[str, str], "headers that the picker sets on an answer")
QUEUED = Note("queued", float, "requests that the picker holds")
BUSY = Note("busy", list[str | None], "who streams the long answers; null where no header says so")


def then(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(configuration: dict[str, Any]) -> None:
        for one in changes:
            one(configuration)

    return change


def patient(configuration: dict[str, Any]) -> None:
    """Saturated at a queue of 5; metrics count for five seconds, so that no slow scrape looks like saturation."""
    configuration["saturationDetector"] = {
        "queueDepthThreshold": 5, "kvCacheUtilThreshold": 0.8, "metricsStalenessThreshold": "5s",
    }  # fmt: skip


def held(configuration: dict[str, Any]) -> None:
    """Requests wait for at most two seconds while the pool is saturated."""
    configuration["featureGates"] = ["flowControl"]
    configuration["flowControl"] = {"defaultRequestTTL": "2s"}


@scenario(system="routing", timeout=30)
def sessions(lab: RoutingLab) -> None:
    """Requests with and without a session token, and the response to one as the endpoint picker passes it on."""
    prompts = prompt_set([40] * PICKS, seed=51)
    arm = Arm(profile="least-loaded", replicas=3, gateway=None, cache=NO_CACHE,
              change_picker=only("session-affinity-scorer"))  # fmt: skip
    with opened(lab, arm) as site:
        pick(site, "without", prompt_set([40] * SPREAD, seed=52))
        for number, name in enumerate(NAMES):
            endpoint = f"{site.routing.namespace}/{name}-rank-{number}"
            token = base64.b64encode(endpoint.encode()).decode()
            pick(site, f"token {name}", prompts, headers={SESSION_HEADER: token})
        pick(site, "no token", prompt_set([40] * SPREAD, seed=53), headers={SESSION_HEADER: "!no base64!"})
        assert site.routing.picker is not None
        with ExternalProcessing(site.routing.picker.target) as asked, asked.stream() as stream:
            stream.request(json.dumps(site.body(prompts[0])).encode())
            answer = stream.response(json.dumps({"object": "text_completion", "choices": [], "usage": {}}).encode())
        lab.note(ANSWER_HEADERS, answer.set_headers)


@scenario(system="routing", timeout=30)
def objectives(lab: RoutingLab) -> None:
    """InferenceObjectives of priority -1 and 10, on a saturated and on an idle pool; then flow control."""
    prompts = prompt_set([40] * PICKS, seed=54)
    arm = Arm(profile="least-loaded", replicas=2, gateway=None, cache=NO_CACHE, simulator_flags=FAKE,
              change_picker=then(only("queue-scorer"), patient))  # fmt: skip
    with opened(lab, arm) as site:
        for name, priority in (("batch", -1), ("premium", 10)):
            place(site, crds.INFERENCE_OBJECTIVE, name, {"priority": priority})
        try:
            load(site, 20)
            read_again(site)
            for name in ("batch", "premium", "nobody"):
                pick(site, f"saturated {name}", prompts, headers={OBJECTIVE_HEADER: name})
            pick(site, "saturated", prompts)
            load(site, 0)
            read_again(site)
            pick(site, "idle batch", prompts, headers={OBJECTIVE_HEADER: "batch"})
            load(site, 20)
            reconfigure(site, held)
            flow(lab, site)
        finally:
            for name in ("batch", "premium"):
                lab.api.delete(crds.INFERENCE_OBJECTIVE.name, name, site.routing.namespace)


def load(site: Deployment, waiting: int) -> None:
    """Let every replica report this queue."""
    for replica in site.replicas:
        report(replica, waiting_requests=waiting)


def flow(lab: RoutingLab, site: Deployment) -> None:
    """Requests that come while the pool is saturated: four until their time is up, four until it is relieved."""
    picker = site.routing.picker
    assert picker is not None
    few = prompt_set([40] * 4, seed=55)

    def queued() -> float:
        return total(picker.metrics(), "inference_extension_flow_control_queue_size")

    pick(site, "held too long", few, at_once=4)
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(pick, site, "held", few, at_once=4)
        lab.observe(lambda: queued() >= 4 or waiting.done(), "four requests held", timeout=1.5)
        lab.note(QUEUED, queued())
        load(site, 0)
        waiting.result()


@scenario(system="routing", timeout=30)
def rewrites(lab: RoutingLab) -> None:
    """Model names are rewritten to one target, to two by weight, or not at all; then the rule is deleted."""
    prompts = prompt_set([40] * PICKS, seed=56)
    arm = Arm(profile="random", replicas=1, gateway=None, cache=NO_CACHE)
    with opened(lab, arm) as site:
        rules = [
            {"matches": [{"model": {"value": "public"}}], "targets": [{"modelRewrite": "tuned-7"}]},
            {"matches": [{"model": {"value": "split"}}],
             "targets": [{"modelRewrite": "old", "weight": 3}, {"modelRewrite": "new", "weight": 1}]},
        ]  # fmt: skip
        place(site, crds.INFERENCE_MODEL_REWRITE, "names", {"rules": rules})
        try:
            read_again(site)
            pick(site, "rewritten", prompts, model="public")
            pick(site, "split", prompt_set([40] * 200, seed=57), model="split")
            pick(site, "unmatched", prompts, model="other")
        finally:
            lab.api.delete(crds.INFERENCE_MODEL_REWRITE.name, "names", site.routing.namespace)
        read_again(site)
        pick(site, "rule gone", prompts, model="public")


@scenario(system="routing", timeout=30)
def in_flight(lab: RoutingLab) -> None:
    """One of two replicas is busy with three long streams; then their client disconnects."""
    slow = Latency(constant_ttft=0.0, inter_token=0.05, factor_under_load=1.0)
    arm = Arm(profile="least-loaded", replicas=2, cache=NO_CACHE, latency=slow,
              change_picker=only("active-request-scorer"))  # fmt: skip
    with opened(lab, arm) as site:
        picker, endpoints = site.routing.picker, site.routing.endpoints
        assert picker is not None
        # three, since a request that has just been answered may still count on the other replica
        endpoints.set_ready(NAMES[1], False)
        picker.await_ready_pods(1)
        body = site.body(prompt_set([40], seed=58)[0], 400, stream=True)
        with ExitStack() as streams:
            busy: list[str | None] = []
            for _ in range(3):
                answer = requests.post(f"{site.routing.url}/v1/completions", json=body, stream=True, timeout=10)
                streams.enter_context(answer)
                busy.append(answer.headers.get(POD))
            lab.note(BUSY, busy)
            endpoints.set_ready(NAMES[1], True)
            picker.await_ready_pods(2)
            site.ask("busy", prompt_set([40] * PICKS, seed=59))
        lab.observe(lambda: all(idle(replica.metrics()) for replica in site.replicas), "all are idle", timeout=5)
        site.ask("hung up", prompt_set([40] * 24, seed=60))


def idle(samples: list[Any]) -> bool:
    """Whether no request runs by these metrics."""
    return total(samples, "vllm:num_requests_running") == 0


@scenario(system="routing", timeout=30)
def gone_silent(lab: RoutingLab) -> None:
    """The replica with the shortest queue hangs, so that its metrics become stale."""
    arm = Arm(profile="least-loaded", replicas=3, gateway=None, cache=NO_CACHE, simulator_flags=FAKE,
              change_picker=only("queue-scorer"))  # fmt: skip
    with opened(lab, arm) as site:
        assert site.routing.picker is not None
        for replica, waiting in zip(site.replicas, (0, 5, 5), strict=True):
            report(replica, waiting_requests=waiting)
        read_again(site)
        pick(site, "all speak", prompt_set([40] * PICKS, seed=61))
        site.replicas[0].suspend()
        lab.observe(lambda: site.routing.picker is not None and site.routing.picker.ready_pods() == 2,
                    "one endpoint no longer counts as ready", timeout=8)  # fmt: skip
        pick(site, "one is silent", prompt_set([40] * PICKS, seed=62))
        site.replicas[0].resume()


@behaviour(
    "llmd.scheduling.session-affinity", level=MUST, spec=SESSIONS,
    red_when="a request with a session's token leaves the session's replica", mutant="scores-inverted",
)  # fmt: skip
def test_a_session_stays_on_its_replica(sessions: RoutingRecording) -> None:
    """Requests that carry a replica's session token all go to that replica."""
    assert not [line for name in NAMES for line in only_findings(sessions.asks(f"token {name}"), {name})]


@behaviour(
    "llmd.scheduling.sessions-begin-anywhere", level=MUST, spec=SESSIONS,
    red_when="requests without a session, or with an unreadable token, are refused or pile up on one replica",
    mutant="one-endpoint-left",
)  # fmt: skip
def test_requests_without_a_session_are_spread(sessions: RoutingRecording) -> None:
    """Requests without a session token, or with one that cannot be read, are spread evenly."""
    for wave in ("without", "no token"):
        assert not routing.uniformity_findings(sessions.asks(wave), NAMES, SPREAD)


@known_defect(
    "https://github.com/llm-d/llm-d-router/pull/1597", "the token is set when response headers have been sent already",
    shows="expected x-session-token among the headers",
)  # fmt: skip
@behaviour(
    "llmd.scheduling.session-token-sent", level=SHOULD, spec=SESSIONS,
    red_when="the client never receives its session token",
)  # fmt: skip
def test_the_client_is_told_its_session(sessions: RoutingRecording) -> None:
    """The response to the first request of a session carries the token for the next one."""
    headers = sessions.note(ANSWER_HEADERS)
    assert headers.get(":status") == "200", f"expected an answer, seen {headers}"
    assert SESSION_HEADER in headers, f"expected {SESSION_HEADER} among the headers of the answer, seen {headers}"


@behaviour(
    "llmd.scheduling.sheddable-refused", level=MUST, spec=OBJECTIVES,
    red_when="requests of negative priority are admitted to a saturated pool", mutant="never-saturated",
)  # fmt: skip
def test_sheddable_requests_are_refused_when_saturated(objectives: RoutingRecording) -> None:
    """Requests with an objective of priority -1 get 429 while every queue is over the saturation threshold."""
    assert not refused_findings(objectives.asks("saturated batch"), 429)


@behaviour(
    "llmd.scheduling.others-not-shed", level=MUST, spec=OBJECTIVES,
    red_when="requests that are not sheddable are refused", mutant="all-sheddable",
)  # fmt: skip
def test_others_are_admitted_when_saturated(objectives: RoutingRecording) -> None:
    """A saturated pool admits requests of priority 10, with an unknown objective, and without an objective."""
    for wave in ("saturated premium", "saturated nobody", "saturated"):
        assert not routing.failure_findings(objectives.asks(wave))


@behaviour(
    "llmd.scheduling.sheddable-admitted", level=MUST, spec=OBJECTIVES, timed=True,
    red_when="requests of negative priority are refused though there is room", mutant="always-saturated",
)  # fmt: skip
def test_sheddable_requests_are_admitted_when_idle(objectives: RoutingRecording) -> None:
    """Requests with an objective of priority -1 are admitted to an idle pool."""
    assert not routing.failure_findings(objectives.asks("idle batch"))


@behaviour(
    "llmd.scheduling.flow-control-holds", level=MUST, spec=SPEC, timed=True,
    red_when="a request to a saturated pool is not queued, or not dispatched once there is room",
    mutant="always-saturated",
)  # fmt: skip
def test_flow_control_holds_requests_until_there_is_room(objectives: RoutingRecording) -> None:
    """With flow control, four requests queue in the EPP while the pool is saturated, then all are served."""
    assert objectives.note(QUEUED) >= 4
    assert not routing.failure_findings(objectives.asks("held"))


@behaviour(
    "llmd.scheduling.flow-control-gives-up", level=MUST, spec=SPEC, timed=True,
    red_when="a request that exceeded its time to live in the queue is dispatched, or stays queued forever",
    mutant="never-saturated",
)  # fmt: skip
def test_flow_control_refuses_what_waited_too_long(objectives: RoutingRecording) -> None:
    """Requests that queue for longer than their time to live (2 s) are refused with 429 or 503."""
    rows = objectives.asks("held too long")
    assert not [row for row in rows if row.status not in (429, 503)], routing.shown(rows)


@behaviour(
    "llmd.scheduling.model-rewritten", level=MUST, spec=REWRITES,
    red_when="the model server receives another model name than the rule's target", mutant="rewrites-lost",
)  # fmt: skip
def test_a_model_name_is_rewritten(rewrites: RoutingRecording) -> None:
    """Requests for a public name reach the model server under the target's name."""
    rows = rewrites.asks("rewritten")
    assert not routing.failure_findings(rows)
    assert {row.model for row in rows} == {"tuned-7"}


@behaviour(
    "llmd.scheduling.model-split", level=MUST, spec=REWRITES,
    red_when="requests are not split by the targets' weights", mutant="rewrites-lost",
)  # fmt: skip
def test_a_model_name_is_split_by_weight(rewrites: RoutingRecording) -> None:
    """Of 200 requests, three quarters go to the target of weight 3 (within 4.5 standard deviations)."""
    rows = rewrites.asks("split")
    assert not routing.failure_findings(rows)
    old = sum(row.model == "old" for row in rows)
    assert {row.model for row in rows} == {"old", "new"}
    assert abs(old - 150) <= 4.5 * math.sqrt(200 * 0.75 * 0.25), f"{old} of 200"


@behaviour(
    "llmd.scheduling.model-kept", level=MUST, spec=REWRITES,
    red_when="a name that no rule matches is changed, or a deleted rule still applies", mutant="rewrites-everything",
)  # fmt: skip
def test_other_model_names_are_kept(rewrites: RoutingRecording) -> None:
    """Names that no rule matches stay as they are, and so does every name once the rule is deleted."""
    assert not routing.failure_findings(rewrites.asks("unmatched") + rewrites.asks("rule gone"))
    assert {row.model for row in rewrites.asks("unmatched")} == {"other"}
    assert {row.model for row in rewrites.asks("rule gone")} == {"public"}


@behaviour(
    "llmd.scheduling.active-requests", level=MUST, spec=SPEC, timed=True,
    red_when="a request is sent to a replica that is busy while another is idle", mutant="scores-inverted",
)  # fmt: skip
def test_requests_avoid_the_busy_replica(in_flight: RoutingRecording) -> None:
    """While one of two replicas streams three long responses, all other requests go to the second one."""
    assert in_flight.note(BUSY) == [NAMES[0]] * 3
    assert not only_findings(in_flight.asks("busy"), {NAMES[1]})


@behaviour(
    "llmd.scheduling.hang-up-frees", level=MUST, spec=SPEC, timed=True,
    red_when="a replica still counts as busy after its client has disconnected", mutant="one-endpoint-left",
)  # fmt: skip
def test_a_replica_is_free_again_when_the_client_hangs_up(in_flight: RoutingRecording) -> None:
    """After the client of the long streams has disconnected, both replicas get requests again."""
    rows = in_flight.asks("hung up")
    assert not routing.failure_findings(rows) + reached_findings(rows, NAMES[:2])


@behaviour(
    "llmd.scheduling.silence-is-counted", level=MUST, spec=SPEC, timed=True,
    red_when="a replica that no longer reports metrics counts as ready forever", mutant="staleness-never",
)  # fmt: skip
def test_a_silent_replica_is_not_counted_as_ready(gone_silent: RoutingRecording) -> None:
    """A replica that was picked for its short queue no longer counts as a ready endpoint once it hangs."""
    assert not only_findings(gone_silent.asks("all speak"), {NAMES[0]})
    assert not routing.failure_findings(gone_silent.asks("one is silent"))
    assert gone_silent.observations == {"one endpoint no longer counts as ready": True}


@known_defect(
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/1497",
    "endpoints with stale metrics stay candidates, and are judged by what they said last",
    shows=r"picks to be model-server-1 or model-server-2, seen \d+ elsewhere: #\d+ \w+: 200 by",
)
@behaviour(
    "llmd.scheduling.silence-is-avoided", level=SHOULD, spec=SPEC,
    red_when="requests go to a hung replica because of what it reported before",
)  # fmt: skip
def test_a_silent_replica_is_avoided(gone_silent: RoutingRecording) -> None:
    """A hung replica is not picked for the short queue that it reported before."""
    assert not only_findings(gone_silent.asks("one is silent"), {NAMES[1], NAMES[2]})
